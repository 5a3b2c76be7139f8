"""A network that turns pictures into vectors of length 1, with the head that teaches it to. Next: `backbones`.

The head is that of a classifier, or has an angular margin (Deng et al. 2019, "ArcFace").
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from luthier.catalog.plan import EmbeddingPlan
from luthier.engine import backbones
from luthier.engine.heads import hidden
from luthier.engine.rows import Rows, plain_rows

Tensor = torch.Tensor


class Projection(nn.Sequential):
    """What makes a vector of the body's features, dropout before it; the features themselves where it has no layers."""

    def __init__(self, *layers: nn.Module, dropout: float) -> None:
        super().__init__(*layers)
        self.dropout = dropout

    def forward(self, features: Tensor) -> Tensor:
        features = functional.dropout(features, self.dropout, self.training)
        for layer in self:
            features = layer(features)
        return features


class VectorNorm(nn.BatchNorm1d):
    """Of a single vector, whose own variance would be 0, by the statistics of all that were seen before."""

    def forward(self, vectors: Tensor) -> Tensor:
        if self.training and len(vectors) == 1:
            mean, variance = self.running_mean, self.running_var
            return functional.batch_norm(vectors, mean, variance, self.weight, self.bias, eps=self.eps)
        return super().forward(vectors)


class Embedder(nn.Module):
    """Images (B, 3, S, S) to vectors (B, D) of length 1. D is the plan's, or the body's own where that is 0."""

    def __init__(self, body: nn.Module, classes: int, plan: EmbeddingPlan) -> None:
        super().__init__()
        self.body: Any = body
        width = backbones.width_of(body)
        project = Projection(*hidden(width, plan.head_hidden_layers, plan.head_hidden_width), dropout=plan.dropout)
        width = plan.head_hidden_width if plan.head_hidden_layers else width
        size = plan.embedding_size or width
        if plan.embedding_size:
            project.extend([nn.Linear(width, size, bias=False), VectorNorm(size)])
        self.head = nn.ModuleDict({"project": project, "concepts": nn.Linear(size, classes, bias=not plan.margin)})
        self.angular = plan.margin > 0
        self.margin, self.scale = plan.margin, plan.scale  # the margin of now: it may grow from epoch to epoch

    def get_classifier(self) -> nn.Module:
        return self.head

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        return {f"head.concepts.{name}": plain_rows(classes) for name, _ in self.head["concepts"].named_parameters()}

    def forward(self, images: Tensor) -> Tensor:
        return self.vectors(backbones.features_of(self.body, images))

    def vectors(self, features: Tensor) -> Tensor:
        """Of what the body gives for each picture."""
        features = self.head["project"](features).float()
        largest = features.detach().abs().amax(1, keepdim=True).clamp(min=1e-12)  # so that no square overflows
        return functional.normalize(features / largest, dim=1)

    def logits(self, features: Tensor, targets: Tensor | None = None) -> Tensor:
        """(B, classes) of what the body gives for each picture.

        Of an angular head: scaled cosines, those of `targets`, (B, classes), as if the angle were wider.
        """
        concepts: Any = self.head["concepts"]
        if not self.angular:
            plain: Tensor = concepts(self.head["project"](features))
            return plain
        vectors = self.vectors(features)
        with torch.autocast(vectors.device.type, enabled=False):  # bfloat16 has no number between 0.992 and 0.996
            cosines = functional.linear(vectors, functional.normalize(concepts.weight.float(), dim=1))
        if targets is not None:
            angles = cosines.clamp(-1 + 1e-6, 1 - 1e-6).acos()
            # beyond pi - margin the cosine would rise again: there a straight line goes on downwards
            wider = torch.where(angles < torch.pi - self.margin, (angles + self.margin).cos(), cosines - self.margin)
            cosines = torch.where(targets > 0.5, wider, cosines)
        return cosines * self.scale


def build(name: str, classes: int, plan: EmbeddingPlan, weights_folder: str, weights: str) -> Embedder:
    """Raises MissingWeights, CorruptFile and InvalidTrainingParams as `backbones.build` does."""
    body = backbones.build(name, 2, plan.image_size, weights_folder, weights, plan.stochastic_depth)
    return Embedder(backbones.without_head(body), classes, plan)
