"""Vectors to clusters: inputs that an embedder puts near each other. Next: `kmeans`, `transfer_base`.

Nothing is learnt by gradients: `settle` finds the centres when all vectors are known. Labels do not matter.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from luthier.catalog.clusters import ClusterPlan
from luthier.engine import kmeans, loading
from luthier.engine.plans import plan_of
from luthier.engine.recipe import Answer, Batch, Encoded, Look, Scores
from luthier.engine.transfer_base import TransferBase
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec


class Centres(nn.Module):
    """Centres (K, D) and how many training examples each has; there is nothing for an optimizer to hold."""

    def __init__(self, clusters: int, width: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(clusters, width))
        self.register_buffer("counts", torch.zeros(clusters, dtype=torch.long))
        self.nothing = nn.Identity()

    def get_classifier(self) -> nn.Module:
        return self.nothing


class EmbeddingClustering:
    """The verbs for clusterers. A batch: "vectors", float (B, D)."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.plan = plan_of(ClusterPlan, spec.plan)
        self.concept_ids: list[str] = []
        self.base = TransferBase(spec)
        self.input_kind = self.base.embeds.input_kind
        self.varied = self.base.embeds.varied

    def build(self, *, pretrained: bool) -> nn.Module:
        self.base.open()
        return Centres(self.plan.clusters, self.base.width)

    def prepare(self, data: loading.Data, log: Callable[[str], None]) -> None:
        self.base.embed_all(data, log)

    def settle(self, network: nn.Module, look: Look, log: Callable[[str], None]) -> None:
        vectors = torch.cat([batch["vectors"] for _, batch in look("train")])
        generator = loading.generator_for(self.spec.seed, "clusters", 0)
        found = kmeans.fit(vectors, self.plan.clusters, generator, self.plan.starts)
        centres, counts = _buffers(network)
        centres.zero_()[: len(found.centres)] = found.centres.to(centres.device)
        counts.zero_()[: len(found.counts)] = found.counts.to(counts.device)
        sizes = f"{int(found.counts.min())} to {int(found.counts.max())} in one"
        log(
            f"{len(found.centres)} clusters of {len(vectors)} examples after {found.iterations} iterations: {sizes}, "
            f"mean squared distance {found.distance:.4f}."
        )

    def unusable(self, example: Example) -> str:
        return ""

    def concepts_in(self, example: Example) -> Iterable[str]:
        return ()

    def encode(self, data: bytes, example: Example) -> Encoded:
        return self.base.encode(data, example)

    def example_of(self, number: int) -> Encoded:
        return self.base.example_of(number)

    def collate(self, encoded: list[Encoded]) -> Batch:
        return {"vectors": torch.from_numpy(self.base.vectors_of(encoded))}

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Without a gradient: the loop only goes through the examples."""
        return torch.zeros((), device=batch["vectors"].device)

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """ "cluster", int64 (B,), and "distances", squared, float (B, 2), to the nearest centre and the next."""
        centres, counts = _buffers(network)
        centres = centres[: max(1, int((counts > 0).sum()))]
        distances, places = kmeans.nearest(batch["vectors"].float(), centres)
        return {"cluster": places[:, 0], "distances": distances, "size": counts[places[:, 0]]}

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        rows = zip(*(predicted[name].tolist() for name in ("cluster", "distances", "size")), strict=True)
        return [
            {"clusters": [{"id": str(place), "value": max(0.0, 1 - distances[0] / 2), "count": size}]}
            for place, distances, size in rows
        ]

    def judge(self) -> "ClusterJudge":
        return ClusterJudge()


class ClusterJudge:
    """How tight clusters are, by centres: the mean squared distance and the simplified silhouette (Hruschka 2004)."""

    def __init__(self) -> None:
        self.distances: list[Any] = [np.empty((0, 1))]

    def add(self, predicted: Batch, batch: Batch) -> None:
        self.distances.append(predicted["distances"].numpy())

    def scores(self) -> Scores:
        shown = [one for one in self.distances if len(one)]
        if not shown:
            return Scores({}, [], (0.0,))
        distances = np.sqrt(np.concatenate(shown))
        metrics = {"distance": float(np.square(distances[:, 0]).mean())}
        if distances.shape[1] > 1:
            own, other = distances[:, 0], distances[:, 1]
            metrics["silhouette"] = float(((other - own) / np.maximum(np.maximum(own, other), 1e-12)).mean())
        return Scores(metrics, [], (-metrics["distance"],))


def _buffers(network: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    if not isinstance(network, Centres):
        raise TypeError(f"{type(network).__name__} holds no centres")
    return network.get_buffer("centres"), network.get_buffer("counts")


RECIPE = EmbeddingClustering
