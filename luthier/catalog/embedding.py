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
    plan = stepwise_plan({**values, "logreg": 0})
    if values["pretrained_weights"] != NO_WEIGHTS:
        return _with_margin(plan, values, margin_epochs=0)
    epochs = _growing_epochs(plan)
    note = (
        f"pretrained_weights is None: the margin grows from 0 to angular_margin {values['angular_margin']:g} over the "
        f"first {epochs} epochs, as a network from random weights hardly learns under the whole of it"
    )
    return _with_margin(replace(plan, notes=(*plan.notes, note)), values, epochs)


def own_plan(values: Values) -> EmbeddingPlan:
    """The same of Luthier's own template, which starts at random and is trained as its classifiers are."""
    exclusive = {"concepts_mutually_exclusive": True, "label_smoothing": 0.0}
    plan = translation.own_plan({**values, **exclusive})
    return _with_margin(plan, values, _growing_epochs(plan))


def _growing_epochs(plan: ImagePlan) -> int:
    return max(1, plan.epochs // 2)


def _with_margin(plan: ImagePlan, values: Values, margin_epochs: int) -> EmbeddingPlan:
    return EmbeddingPlan(
        **asdict(plan),
        embedding_size=values["embeddings_size"],
        margin=values["angular_margin"],
        margin_epochs=margin_epochs,
        scale=values["angular_scale"],
    )
