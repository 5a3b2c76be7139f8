"""Recipe: what differs between families of models, as a few verbs that train, evaluate and predict share.

A recipe is one module in `recipes/` with a class `RECIPE`; read `recipes/image_classification.py` for an example.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from luthier.catalog.plan import Plan
from luthier.errors import InvalidTrainingParams, shown
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec

Encoded = dict[str, np.ndarray[Any, Any]]  # one example, ready to be stacked
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Scores:
    """How good predictions are. `metrics` leaves out what cannot be computed, as a concept that no example has.

    `rank` orders checkpoints: the greater, the better.
    """

    metrics: dict[str, float]
    per_concept: list[dict[str, Any]]
    confusion: list[list[int]]
    rank: tuple[float, ...]


class Recipe(Protocol):
    """One family of models. Everything it needs to know stands in the spec that it is made from."""

    input_kind: str  # "image"
    plan: Plan
    concept_ids: list[str]

    def __init__(self, spec: RunSpec) -> None: ...

    def build(self, *, pretrained: bool) -> nn.Module:
        """The network, on the CPU, with a fresh head; `pretrained`: with the spec's weights. Raises MissingWeights."""

    def unusable(self, example: Example) -> str:
        """Why the labels of `example` cannot be learnt from; empty if they can."""

    def encode(self, data: bytes, example: Example) -> Encoded:
        """The bytes of one input and its labels as arrays of fixed shape; raises a LuthierError for bad bytes."""

    def example_of(self, number: int) -> Encoded:
        """A made-up example of the usual shape, to measure what a step costs."""

    def collate(self, encoded: list[Encoded]) -> Batch:
        """Arrays of several examples as tensors, on the CPU."""

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A training batch, randomly changed. All randomness comes from `generator`, which lives on the CPU."""

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The mean loss of an augmented batch, a scalar."""

    def predict(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """A float per concept and example, (batch, concepts), as the user sees them: probabilities."""

    def score(self, predicted: torch.Tensor, batch_targets: torch.Tensor) -> Scores:
        """Judges predictions, (examples, concepts), against the collated targets."""


def recipe_names() -> list[str]:
    return sorted(path.stem for path in (Path(__file__).parent / "recipes").glob("[a-z]*.py"))


def recipe_for(spec: RunSpec) -> Recipe:
    """The recipe that `spec` names; raises InvalidTrainingParams if there is none of that name."""
    if spec.recipe not in recipe_names():
        raise InvalidTrainingParams(f"recipe is {shown(spec.recipe)}; there are {', '.join(recipe_names())}")
    module = importlib.import_module(f"luthier.engine.recipes.{spec.recipe}")
    recipe: Recipe = module.RECIPE(spec)
    return recipe
