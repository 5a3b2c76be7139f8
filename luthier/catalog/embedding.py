"""What the plan functions of the embedders share: documented words -> fields of an EmbeddingPlan. Next: `plan`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from luthier.catalog.plan import EmbeddingPlan
from luthier.catalog.translation import stepwise_plan

Values = Mapping[str, Any]


def classifier_plan(values: Values) -> EmbeddingPlan:
    """Trained as the classifier of that name; the vector is what its head is given."""
    return EmbeddingPlan(**asdict(stepwise_plan(values)))


def angular_plan(values: Values) -> EmbeddingPlan:
    """Additive angular margin (Deng et al. 2019): exactly one concept per picture."""
    return EmbeddingPlan(
        **asdict(stepwise_plan({**values, "logreg": 0})),
        embedding_size=values["embeddings_size"],
        margin=values["angular_margin"],
        scale=values["angular_scale"],
    )
