"""Recipe: what differs between families of models, as a few verbs that train, evaluate and predict share.

A recipe is one module in `recipes/` with a class `RECIPE`; read `recipes/image_classification.py` for an example.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from luthier.catalog.plan import Plan
from luthier.errors import InvalidTrainingParams, shown
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec

Encoded = dict[str, np.ndarray[Any, Any]]  # one example, decoded and scaled; kept in the cache as it is
Batch = dict[str, torch.Tensor]  # the first dimension of each tensor is the batch's
Answer = dict[str, Any]  # what a prediction says of one input, as JSON; its forms stand in `predict`


@dataclass(frozen=True)
class Scores:
    """How good predictions are. `metrics` leaves out what cannot be computed, as a concept that no example has.

    `rank` orders checkpoints: the greater, the better.
    """

    metrics: dict[str, float]
    per_concept: list[dict[str, Any]]
    rank: tuple[float, ...]
    confusion: list[list[int]] = field(default_factory=list)  # where one concept holds: row true, column predicted


class Judge(Protocol):
    """Compares predictions with what is labelled, batch by batch, so that no split is ever held whole."""

    def add(self, predicted: Batch, batch: Batch) -> None:
        """Both on the CPU, as `Recipe.predict` and `Recipe.collate` made them."""

    def scores(self) -> Scores:
        """Over all that was added; also where nothing was."""


class Recipe(Protocol):
    """One family of models. Everything it needs to know stands in the spec that it is made from."""

    input_kind: str  # "image", "text"
    varied: bool  # whether examples differ in size: batches then gather those of like size
    plan: Plan
    concept_ids: list[str]

    def __init__(self, spec: RunSpec) -> None: ...

    def build(self, *, pretrained: bool) -> nn.Module:
        """The network, on the CPU, with a fresh head; `pretrained`: with the spec's weights. Raises MissingWeights."""

    def unusable(self, example: Example) -> str:
        """Why the labels of `example` cannot be learnt from; empty if they can."""

    def concepts_in(self, example: Example) -> Iterable[str]:
        """Ids of the concepts that `example` is a positive example of, each once: they are counted and shown."""

    def encode(self, data: bytes, example: Example) -> Encoded:
        """The bytes of one input and its labels as arrays; raises a LuthierError for bad bytes."""

    def example_of(self, number: int) -> Encoded:
        """A made-up example of the usual shape, to measure what a step costs."""

    def collate(self, encoded: list[Encoded]) -> Batch:
        """Arrays of several examples as tensors, on the CPU."""

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A training batch, randomly changed. All randomness comes from `generator`, which lives on the CPU."""

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The mean loss of an augmented batch, a scalar."""

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """What the network says of a batch that is not augmented, as tensors."""

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        """The same, for each input, as the user is to see it; both on the CPU."""

    def judge(self) -> Judge:
        """A judge that has seen nothing yet."""


Look = Callable[[str], Iterator[tuple[Batch, Batch]]]  # a split -> each batch of it as predicted and as it is


@runtime_checkable
class Settles(Protocol):
    """A recipe that learns something otherwise than by gradients, as a memory or a threshold. Others lack the verb."""

    def settle(self, network: nn.Module, look: Look, log: Callable[[str], None]) -> None:
        """Called after the steps of each epoch, before the validation. What it learns must be in the network's
        buffers, so that checkpoints hold it; `look` predicts with the network as it then is.
        """


@runtime_checkable
class WeighsConcepts(Protocol):
    """A recipe whose loss can count an example for more where its concept is rare."""

    def weigh(self, positives: Mapping[str, int], examples: int) -> None:
        """Called once before the first step: how many of all training examples each concept has."""


@runtime_checkable
class Paces(Protocol):
    """A recipe whose loss is not the same in every epoch."""

    def begin_epoch(self, network: nn.Module, epoch: int) -> None:
        """Called before the first step of `epoch`, counted from 0, and where a training goes on within it."""


@runtime_checkable
class CountsExamples(Protocol):
    """A recipe whose batches hold another number of examples than the first dimension of their tensors says."""

    def examples_in(self, batch: Batch) -> int:
        """Of a batch as `collate` made it."""


@runtime_checkable
class WeighsBatches(Protocol):
    """A recipe whose loss is the mean over something else than examples, as the tokens of answers."""

    def weight_of(self, batch: Batch) -> float:
        """How much the loss of a batch, as `collate` made it, counts beside those of the other batches of a step."""


@runtime_checkable
class HasFeatures(Protocol):
    """A recipe whose head can be trained on what a frozen backbone says of each example, computed once.

    Its `augment`, `loss` and `predict` take what `features` gives in place of what `collate` does.
    """

    def features(self, network: nn.Module, batch: Batch) -> Batch:
        """What the head is given, and what else the loss needs: tensors whose first dimension is the batch's."""


@runtime_checkable
class Tokenises(Protocol):
    """A recipe that makes tokens of texts, which are worth keeping for other trainings on the same texts."""

    token_fields: tuple[str, ...]  # of what `encode` gives: those that the bytes decide on, not the labels

    def tokens_depend_on(self) -> dict[str, Any]:
        """All that decides on these fields, as JSON, but for the bytes and the files of the base model."""

    def labelled(self, tokens: Encoded, example: Example) -> Encoded:
        """What `encode` gives, from these fields of it."""


@runtime_checkable
class TakesOptions(Protocol):
    """A recipe whose models do as a caller wishes, as how long a text they write."""

    def encode_prompt(self, data: bytes, options: Mapping[str, Any]) -> Encoded:
        """In place of `encode`, for an input of a caller; raises a LuthierError for bad bytes."""


def size_of(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def examples_in(recipe: Recipe, batch: Batch) -> int:
    """How many examples a batch holds."""
    return recipe.examples_in(batch) if isinstance(recipe, CountsExamples) else size_of(batch)


def recipe_names() -> list[str]:
    return sorted(path.stem for path in (Path(__file__).parent / "recipes").glob("[a-z]*.py"))


def recipe_for(spec: RunSpec) -> Recipe:
    """The recipe that `spec` names; raises InvalidTrainingParams if there is none of that name."""
    if spec.recipe not in recipe_names():
        raise InvalidTrainingParams(f"recipe is {shown(spec.recipe)}; there are {', '.join(recipe_names())}")
    module = importlib.import_module(f"luthier.engine.recipes.{spec.recipe}")
    recipe: Recipe = module.RECIPE(spec)
    return recipe
