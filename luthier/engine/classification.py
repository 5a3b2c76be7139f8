"""What classifiers of pictures and of texts share: targets, loss, probabilities and the judge. Next: `metrics`.

Targets are float (B, C): 1 where a concept holds. Mutually exclusive concepts go through a softmax, others through a
sigmoid each.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from luthier.engine import metrics
from luthier.engine.recipe import Batch, Scores
from luthier.runs.manifest import Example


def unusable(example: Example, concepts: Sequence[str], *, exclusive: bool) -> str:
    """Why the labels cannot be learnt from; empty if they can."""
    positives = sum(example.labels.get(concept) == 1 for concept in concepts)
    if exclusive and positives != 1:
        return "no positive concept" if positives == 0 else f"{positives} positive concepts where one is allowed"
    return ""


def concepts_in(example: Example) -> Iterable[str]:
    return [concept for concept, value in example.labels.items() if value == 1]


def target_of(example: Example, concepts: Sequence[str]) -> np.ndarray[Any, Any]:
    """uint8 (C,)."""
    return np.array([example.labels.get(concept) == 1 for concept in concepts], dtype=np.uint8)


def smoothed(targets: torch.Tensor, amount: float, *, exclusive: bool) -> torch.Tensor:
    """Label smoothing: towards the mean of all classes (softmax) or towards one half (sigmoid)."""
    if amount == 0:
        return targets
    towards = 1 / targets.shape[1] if exclusive else 0.5
    return targets * (1 - amount) + towards * amount


def balanced(positives: Mapping[str, int], examples: int, concepts: Sequence[str], *, exclusive: bool) -> torch.Tensor:
    """(2, C): what an example weighs where a concept does not hold, and where it does, so that all concepts weigh alike
    (softmax), or each one's yes as much as its no (sigmoid). The mean over the examples is 1."""
    holds = torch.tensor([float(positives.get(concept, 0)) for concept in concepts])
    counts = torch.stack([examples - holds, holds])
    groups = (holds > 0).sum() if exclusive else 2
    return torch.where(counts > 0, examples / (groups * counts), 1.0)


def loss(
    logits: torch.Tensor, targets: torch.Tensor, *, exclusive: bool, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """The mean over the batch (softmax) or over the batch and its concepts (sigmoid); `weights`: of `balanced`."""
    weights = None if weights is None else weights.to(logits.device)
    if exclusive:
        return functional.cross_entropy(logits, targets, weight=None if weights is None else weights[1])
    each = None if weights is None else torch.lerp(weights[0], weights[1], targets)
    return functional.binary_cross_entropy_with_logits(logits, targets, weight=each)


def probabilities(logits: torch.Tensor, *, exclusive: bool) -> torch.Tensor:
    return logits.softmax(1) if exclusive else logits.sigmoid()


class ClassificationJudge:
    """Keeps the probabilities, a few bytes per example: a ROC AUC needs them all."""

    def __init__(self, concepts: list[str], *, exclusive: bool) -> None:
        self.concepts = concepts
        self.exclusive = exclusive
        self.predicted: list[Any] = [np.empty((0, len(concepts)), dtype=np.float32)]
        self.truth: list[Any] = [np.empty((0, len(concepts)), dtype=bool)]

    def add(self, predicted: Batch, batch: Batch) -> None:
        self.predicted.append(predicted["values"].numpy())
        self.truth.append(batch["targets"].numpy() > 0.5)

    def scores(self) -> Scores:
        predicted, truth = np.concatenate(self.predicted), np.concatenate(self.truth)
        return metrics.score(predicted, truth, self.concepts, exclusive=self.exclusive)
