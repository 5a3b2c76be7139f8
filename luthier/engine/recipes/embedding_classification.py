"""Vectors to concepts: a head on an embedder that stays as it is. Next: `transfer_base`, the embedder.

The network is the head alone; vectors are made while batches are collated, each one once.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from luthier.catalog.transfer import TransferPlan
from luthier.engine import classification, loading
from luthier.engine.classification import ClassificationJudge
from luthier.engine.plans import plan_of
from luthier.engine.recipe import Answer, Batch, Encoded
from luthier.engine.transfer_base import TransferBase
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec


class TransferHead(nn.Module):
    """Vectors (B, D) of length 1 to logits (B, C)."""

    def __init__(self, width: int, classes: int, plan: TransferPlan) -> None:
        super().__init__()
        self.scale: float = width**0.5  # makes the numbers of a vector about as large as one
        layers: list[nn.Module] = []
        for _ in range(plan.head_hidden_layers):
            layers += [nn.Linear(width, plan.head_hidden_width), nn.GELU(), nn.Dropout(plan.dropout)]
            width = plan.head_hidden_width
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(width, classes)
        nn.init.zeros_(self.head.weight)  # logistic regression needs no random start
        nn.init.zeros_(self.head.bias)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.hidden(vectors * self.scale))
        return logits


class EmbeddingClassification:
    """The verbs for embedding-classifiers. A batch: "vectors", float (B, D), and "targets", float (B, C)."""

    def __init__(self, spec: RunSpec) -> None:
        self.plan = plan_of(TransferPlan, spec.plan)
        self.concept_ids = [concept.id for concept in spec.concepts]
        self.train_examples = 0  # known once the data is read
        self.base = TransferBase(spec)
        self.input_kind = self.base.embeds.input_kind
        self.varied = self.base.embeds.varied

    def build(self, *, pretrained: bool) -> nn.Module:
        self.base.open()
        return TransferHead(self.base.width, len(self.concept_ids), self.plan)

    def prepare(self, data: loading.Data, log: Callable[[str], None]) -> None:
        self.train_examples = len(data.splits["train"])
        self.base.embed_all(data, log)

    def unusable(self, example: Example) -> str:
        return classification.unusable(example, self.concept_ids, exclusive=self.plan.mutually_exclusive)

    def concepts_in(self, example: Example) -> Iterable[str]:
        return classification.concepts_in(example)

    def encode(self, data: bytes, example: Example) -> Encoded:
        return {**self.base.encode(data, example), "target": classification.target_of(example, self.concept_ids)}

    def example_of(self, number: int) -> Encoded:
        target = np.eye(len(self.concept_ids), dtype=np.uint8)[number % len(self.concept_ids)]
        return {**self.base.example_of(number), "target": target}

    def collate(self, encoded: list[Encoded]) -> Batch:
        targets = torch.from_numpy(np.stack([one["target"] for one in encoded])).float()
        return {"vectors": torch.from_numpy(self.base.vectors_of(encoded)), "targets": targets}

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        targets = classification.smoothed(
            batch["targets"], self.plan.label_smoothing, exclusive=self.plan.mutually_exclusive
        )
        return {**batch, "targets": targets}

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        logits = network(batch["vectors"]).float()
        loss = classification.loss(logits, batch["targets"], exclusive=self.plan.mutually_exclusive)
        return loss + self._penalty(network)

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """ "values": probabilities, (B, C)."""
        logits = network(batch["vectors"]).float()
        return {"values": classification.probabilities(logits, exclusive=self.plan.mutually_exclusive)}

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        return [{"values": values} for values in predicted["values"].tolist()]

    def judge(self) -> ClassificationJudge:
        return ClassificationJudge(self.concept_ids, exclusive=self.plan.mutually_exclusive)

    def _penalty(self, network: nn.Module) -> torch.Tensor:
        """Half the squares of the last layer's weights, such that the loss is that of logistic regression, over n.

        Vectors are scaled up and weights are smaller for it; of independent concepts the loss is the mean.
        """
        if not isinstance(network, TransferHead):
            raise TypeError(f"{type(network).__name__} is no head on vectors")
        strength = self.plan.regularization * network.scale**2 / max(1, self.train_examples)
        if not self.plan.mutually_exclusive:
            strength /= len(self.concept_ids)
        squares: torch.Tensor = network.head.weight.square().sum()
        return 0.5 * strength * squares


RECIPE = EmbeddingClassification
