"""How long a training takes: the arithmetic, without a database or a wire. Next: `estimates`, which feeds it.

seconds = start
        + epochs * train items / batch size * seconds per step
        + (epochs * validation items + test items) * seconds per validation item
        + (epochs + 1) * seconds per checkpoint
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.catalog.plan import Plan, keeps_features
from luthier.catalog.template import Template
from luthier.store.calibrations import Calibration

SPLIT = (0.8, 0.1, 0.1)  # train, validation, test, where the data is not frozen yet
TRAINING_PASSES = 3  # forward passes that one training step costs: forward, and twice that for backward

# Without any measurement: GFLOPs a second that training reaches at the least, by kind of device.
ASSUMED_GFLOPS = {"cpu": 12.0, "mps": 1000.0, "cuda": 5000.0}  # cpu: per thread
ASSUMED_SECONDS_PER_ITEM = 0.002  # reading and augmenting a picture, however small the network
ASSUMED_SECONDS_PER_HEAD_STEP = 0.003
ASSUMED_START_SECONDS = {"cpu": 12.0, "mps": 15.0, "cuda": 25.0}
ASSUMED_CHECKPOINT_SECONDS = 0.2  # and the time to write the weights:
ASSUMED_MB_PER_SECOND = 100.0


@dataclass(frozen=True)
class Workload:
    """What is to be done. Items are examples; `gflops_per_item` is one forward pass of one."""

    train_items: int  # that one epoch goes through
    validation_items: int
    test_items: int
    epochs: int
    batch_size: int
    gflops_per_item: float
    parameters_m: float = 0.0


@dataclass(frozen=True)
class Costs:
    seconds_per_step: float
    seconds_per_validation_item: float
    start_seconds: float
    checkpoint_seconds: float


def training_seconds(work: Workload, costs: Costs) -> float:
    """The sum above. A last batch that is not full costs its share of a step."""
    steps = work.epochs * work.train_items / work.batch_size
    judged = work.epochs * work.validation_items + work.test_items
    checkpoints = work.epochs + 1
    return (
        costs.start_seconds
        + steps * costs.seconds_per_step
        + judged * costs.seconds_per_validation_item
        + checkpoints * costs.checkpoint_seconds
    )


def split_of(items: int) -> tuple[int, int, int]:
    """Train, validation and test items of data that is not frozen yet."""
    validation, test = round(items * SPLIT[1]), round(items * SPLIT[2])
    return items - validation - test, validation, test


def workload(
    template: Template, values: Mapping[str, Any], split: tuple[int, int, int], text_bytes: float = 0.0
) -> Workload:
    """What `template` does with data of that many train, validation and test items; with texts of `text_bytes`."""
    train, validation, test = split
    plan = template.plan_for(values)
    return Workload(
        train_items=plan.examples_per_epoch or max(train, plan.least_examples_per_epoch),
        validation_items=validation,
        test_items=test,
        epochs=_epochs(plan),
        batch_size=plan.batch_size,
        gflops_per_item=template.gflops_for(values, text_bytes),
        parameters_m=template.parameters_m,
    )


def _epochs(plan: Plan) -> int:
    """How often the network sees every example: a frozen one whose features are kept does so once."""
    return 1 if keeps_features(plan) else plan.epochs


def image_size_of(values: Mapping[str, Any]) -> int:
    """Pixels, as calibrations are kept by; 0 for templates without pictures. Sizes come as number, list or text."""
    size = values.get("image_size", 0)
    return int(size[0] if isinstance(size, list | tuple) else size)


def scaled(calibration: Calibration, work: Workload) -> Costs:
    """Costs measured for one template, size and batch, carried over to another by what they compute."""
    ratio = work.gflops_per_item / calibration.gflops_per_item if calibration.gflops_per_item else 1.0
    per_item = calibration.seconds_per_step / calibration.batch_size
    return Costs(
        seconds_per_step=per_item * ratio * work.batch_size,
        seconds_per_validation_item=calibration.seconds_per_validation_item * ratio,
        start_seconds=calibration.start_seconds,
        checkpoint_seconds=calibration.checkpoint_seconds,
    )


def costs_alike(calibration: Calibration, work: Workload) -> bool:
    """Whether what was measured was as heavy. A template may have networks of several sizes."""
    return math.isclose(calibration.gflops_per_item, work.gflops_per_item, rel_tol=0.1)


def nearest(calibrations: Sequence[Calibration], template: Template, work: Workload) -> Calibration | None:
    """Of the same template if there is one, then nearest in computation, then in batch size."""

    def distance(calibration: Calibration) -> tuple[bool, float, float]:
        flops = abs(math.log(max(calibration.gflops_per_item, 1e-9) / max(work.gflops_per_item, 1e-9)))
        batch = abs(math.log(calibration.batch_size / work.batch_size))
        return calibration.template != template.id, flops, batch

    return min(calibrations, key=distance, default=None)


def assumed(device: str, kind: str, work: Workload) -> Costs:
    """Where nothing was ever measured: what the slowest machine of that kind that we know would need."""
    speed = ASSUMED_GFLOPS[kind] * (_threads(device) if kind == "cpu" else 1)
    forward = work.gflops_per_item / speed
    return Costs(
        seconds_per_step=work.batch_size * (TRAINING_PASSES * forward + ASSUMED_SECONDS_PER_ITEM),
        seconds_per_validation_item=forward + ASSUMED_SECONDS_PER_ITEM,
        start_seconds=ASSUMED_START_SECONDS[kind],
        checkpoint_seconds=ASSUMED_CHECKPOINT_SECONDS + 4 * work.parameters_m / ASSUMED_MB_PER_SECOND,
    )


def transfer_seconds(work: Workload, items: int, device: str, kind: str) -> float:
    """A forward pass for each of `items`, once; the steps of the head are small beside it. Never measured."""
    costs = assumed(device, kind, work)
    steps = work.epochs * math.ceil(work.train_items / work.batch_size)
    return costs.start_seconds + items * costs.seconds_per_validation_item + steps * ASSUMED_SECONDS_PER_HEAD_STEP


def _threads(device: str) -> int:
    """Of a device that is called cpu/2; 1 where it does not say."""
    threads = device.rpartition("/")[2]
    return max(1, int(threads)) if threads.isdigit() else 1
