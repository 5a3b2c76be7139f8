"""What the plan functions of the embedders share: documented words -> fields of an EmbeddingPlan. Next: `plan`."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from luthier.catalog import translation
from luthier.catalog.plan import EmbeddingPlan, ImagePlan
from luthier.catalog.translation import stepwise_plan
from luthier.catalog.vocabulary import NO_WEIGHTS

Values = Mapping[str, Any]


def classifier_plan(values: Values) -> EmbeddingPlan:
    """Trained as the classifier of that name; the vector is what its head is given."""
    return EmbeddingPlan(**asdict(stepwise_plan(values)))


def angular_plan(values: Values) -> EmbeddingPlan:
    """Additive angular margin (Deng et al. 2019): exactly one concept per picture."""
    return _with_margin(stepwise_plan({**values, "logreg": 0}), values)


def own_plan(values: Values) -> EmbeddingPlan:
    """The same of Luthier's own template, trained as its classifiers are."""
    exclusive = {"concepts_mutually_exclusive": True, "label_smoothing": 0.0}
    return _with_margin(translation.own_plan({**values, **exclusive}), values)


def _with_margin(plan: ImagePlan, values: Values) -> EmbeddingPlan:
    """From random weights hardly any network starts to learn under a whole margin: it grows over half of the epochs."""
    growing = plan.epochs // 2 if values["pretrained_weights"] == NO_WEIGHTS else 0
    if growing:
        note = (
            f"pretrained_weights is None: the margin grows from 0 to angular_margin {values['angular_margin']:g} over "
            f"the first {growing} epochs, as a network from random weights hardly learns under the whole of it"
        )
        plan = replace(plan, notes=(*plan.notes, note))
    return EmbeddingPlan(
        **asdict(plan),
        margin_epochs=growing,
        embedding_size=values["embeddings_size"],
        margin=values["angular_margin"],
        scale=values["angular_scale"],
    )
