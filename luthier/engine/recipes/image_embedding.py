"""Pictures to vectors that lie near each other where the pictures show the same. Next: `embedder`, `retrieval`."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from luthier.catalog.plan import EmbeddingPlan
from luthier.engine import backbones, classification, embedder
from luthier.engine.embedder import Embedder
from luthier.engine.plans import plan_of
from luthier.engine.recipe import Answer, Batch, Encoded
from luthier.engine.recipes.image_classification import ImageClassification
from luthier.engine.retrieval import RetrievalJudge
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec


class ImageEmbedding:
    """The verbs for visual embedders. Pictures are read, batched and changed as a classifier's are."""

    input_kind = "image"
    varied = False

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.plan = plan_of(EmbeddingPlan, spec.plan)
        self.pictures = ImageClassification(spec)
        self.concept_ids = self.pictures.concept_ids

    def build(self, *, pretrained: bool) -> nn.Module:
        weights = self.spec.weights if pretrained else ""
        folder = self.spec.weights_folder
        return embedder.build(self.spec.backbone, len(self.concept_ids), self.plan, folder, weights)

    def unusable(self, example: Example) -> str:
        return self.pictures.unusable(example)

    def concepts_in(self, example: Example) -> Iterable[str]:
        return self.pictures.concepts_in(example)

    def encode(self, data: bytes, example: Example) -> Encoded:
        return self.pictures.encode(data, example)

    def example_of(self, number: int) -> Encoded:
        return self.pictures.example_of(number)

    def collate(self, encoded: list[Encoded]) -> Batch:
        return self.pictures.collate(encoded)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return self.pictures.augment(batch, generator)

    def features(self, network: nn.Module, batch: Batch) -> Batch:
        return {"features": self._features(network, batch), "targets": batch["targets"]}

    def weigh(self, positives: Mapping[str, int], examples: int) -> None:
        self.pictures.weigh(positives, examples)

    def begin_epoch(self, network: nn.Module, epoch: int) -> None:
        share = min(1.0, epoch / self.plan.margin_epochs) if self.plan.margin_epochs else 1.0
        _embedder(network).margin = self.plan.margin * share

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        targets = batch["targets"]
        logits = _embedder(network).logits(self._features(network, batch), targets).float()
        exclusive = self.plan.mutually_exclusive
        return classification.loss(logits, targets, exclusive=exclusive, weights=self.pictures.weights)

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """ "vectors": (B, D), each of length 1."""
        return {"vectors": _embedder(network).vectors(self._features(network, batch)).float()}

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        return [{"embedding": vector} for vector in predicted["vectors"].tolist()]

    def judge(self) -> RetrievalJudge:
        return RetrievalJudge(self.concept_ids)

    def _features(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """What the body gives, (B, D)."""
        if "features" in batch:
            return batch["features"]
        return backbones.features_of(_embedder(network).body, self.pictures.normalised(batch["images"]))


def _embedder(network: nn.Module) -> Embedder:
    if not isinstance(network, Embedder):
        raise TypeError(f"{type(network).__name__} is not an embedder")
    return network


RECIPE = ImageEmbedding
