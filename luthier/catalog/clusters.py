"""What the templates of clusterer share: k-means on the vectors of an embedder. Next: `embedders`, `transfer`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from luthier.catalog import transfer, vocabulary
from luthier.catalog.embedders import Embedder
from luthier.catalog.hyperparameters import Range
from luthier.catalog.plan import Plan
from luthier.catalog.template import Template

Values = Mapping[str, Any]


@dataclass(frozen=True)
class ClusterPlan(Plan):
    """Plan of the family that groups vectors."""

    learns_concepts: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ("distance", "silhouette")

    clusters: int = 10
    starts: int = 3  # the best of so many random starts is kept


def plan(values: Values) -> ClusterPlan:
    """One pass: nothing is learnt by gradients."""
    return ClusterPlan(
        epochs=1, batch_size=256, learning_rate=0.0, clusters=values["num_clusters"], starts=values["num_starts"]
    )


def template(id: str, embedder: Embedder, description: str) -> Template:
    return Template(
        id=id,
        model_type="clusterer",
        description=description,
        recipe="embedding_clustering",
        backbone=embedder.backbone,
        weights=transfer.unless_named(embedder.weights),
        embedder=embedder,
        plan=plan,
        gflops=embedder.gflops,
        parameters_m=embedder.parameters_m,
        recommended=True,
        hyperparameters=(
            vocabulary.seed(),
            vocabulary.num_gpus(),
            transfer.base_embed_model(),
            num_clusters(),
            num_starts(),
        ),
    )


def num_clusters() -> Range:
    text = "How many groups to make; fewer come out where there are fewer different inputs"
    return Range(name="num_clusters", default=10, min=1, max=10_000, step=1, description=text)


def num_starts() -> Range:
    text = "How many random starts are tried; the tightest groups are kept"
    return Range(name="num_starts", default=3, min=1, max=100, step=1, description=text)
