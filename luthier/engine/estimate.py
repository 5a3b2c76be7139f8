"""What a template costs here: a few real steps on made-up data, measured. `python -m luthier.engine.estimate RUN`.

Weights are not needed: random ones cost the same. Next: `train`, whose steps these are.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from luthier.engine import BORN, checkpoint, loading, optim
from luthier.engine.devices import Device, choose, peak_memory_mb
from luthier.engine.journal import Journal
from luthier.engine.optimizers import Optimizer
from luthier.engine.process import StopRequest, main
from luthier.engine.recipe import Batch, Recipe, recipe_for
from luthier.engine.report import write_json
from luthier.engine.session import Timings, build_network
from luthier.engine.stages import training_mode
from luthier.runs.events import Finished
from luthier.runs.run import RunFolder, RunSpec

MOST_STEPS = 12
ENOUGH_SECONDS = 8.0  # after the first step; at least one more step is taken however long it lasts


@dataclass(frozen=True)
class Costs:
    seconds_per_step: float
    seconds_per_validation_item: float
    start_seconds: float
    checkpoint_seconds: float
    steps: int


def measure(run: RunFolder, spec: RunSpec, device: Device, born: float) -> Costs:
    """Runs the steps; leaves nothing behind in the run folder."""
    recipe = recipe_for(replace(spec, weights="", resume_from=""))
    network = build_network(recipe, replace(spec, weights="", resume_from=""), device, print)
    optimizer = optim.optimizer_for(network, recipe.plan)
    batch = recipe.collate([recipe.example_of(number) for number in range(recipe.plan.batch_size)])
    start = time.monotonic() - born
    timings = Timings()
    began = time.monotonic()
    while len(timings.steps) < 2 or (len(timings.steps) < MOST_STEPS and time.monotonic() - began < ENOUGH_SECONDS):
        timings.steps.append(_step(recipe, network, optimizer, device, batch, len(timings.steps)))
        if len(timings.steps) == 1:
            began = time.monotonic()
    per_item = _validation(recipe, network, device, batch)
    saving = _checkpoint(run.path, network, optimizer)
    return Costs(timings.steady_step(), per_item, start, saving, len(timings.steps))


def _step(recipe: Recipe, network: nn.Module, optimizer: Optimizer, device: Device, batch: Batch, number: int) -> float:
    began = time.monotonic()
    training_mode(network, recipe.plan, recipe.plan.epochs)
    there = {name: tensor.to(device.torch_device) for name, tensor in batch.items()}
    there = recipe.augment(there, loading.generator_for(0, "augment", number))
    with device.autocast():
        loss = recipe.loss(network, there)
    if loss.requires_grad:
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    float(loss.detach())  # waits for an accelerator
    return time.monotonic() - began


@torch.inference_mode()
def _validation(recipe: Recipe, network: nn.Module, device: Device, batch: Batch) -> float:
    """Seconds per example."""
    network.eval()
    began = time.monotonic()
    there = {name: tensor.to(device.torch_device) for name, tensor in batch.items()}
    with device.autocast():
        predicted = recipe.predict(network, there)
    examples = len(next(iter(predicted.values())).cpu())  # which waits for an accelerator
    return (time.monotonic() - began) / examples


def _checkpoint(folder: Path, network: nn.Module, optimizer: Optimizer) -> float:
    """Seconds of one full checkpoint, written for real and removed."""
    files = {
        checkpoint.MODEL: network.state_dict(),
        checkpoint.OPTIMIZER: checkpoint.optimizer_tensors(network, optimizer),
    }
    place = folder / "checkpoints" / "calibration"
    began = time.monotonic()
    checkpoint.write(place, files, {"run": "calibration", "step": 0})
    seconds = time.monotonic() - began
    checkpoint.remove(place)
    return seconds


def estimate(run: RunFolder, journal: Journal, stop: StopRequest, born: float) -> None:
    """Measures and writes report.json; yields nothing else than Finished."""
    spec = run.spec()
    device = choose(spec.device, spec.threads)
    journal.log(f"Measuring {spec.template} on {device.name}, {device.threads} threads, {device.precision}.")
    costs = measure(run, spec, device, born)
    batch_size = spec.plan["batch_size"]
    report: dict[str, Any] = {
        "seconds_per_step": costs.seconds_per_step,
        "seconds_per_validation_item": costs.seconds_per_validation_item,
        "start_seconds": costs.start_seconds,
        "checkpoint_seconds": costs.checkpoint_seconds,
        "device": device.name,
        "device_kind": device.kind,
        "precision": device.precision,
        "batch_size": batch_size,
        "steps": costs.steps,
        "peak_memory_mb": peak_memory_mb(device),
    }
    write_json(run.report_file, report)
    journal.event(
        Finished(
            step=costs.steps,
            epochs=0,
            checkpoint="",
            metrics={},
            stopped_early=False,
            seconds=time.monotonic() - born,
            train_seconds=costs.seconds_per_step * costs.steps,
            steady_seconds_per_step=costs.seconds_per_step,
            start_seconds=costs.start_seconds,
            validation_seconds=costs.seconds_per_validation_item * batch_size,
            checkpoint_seconds=costs.checkpoint_seconds,
            samples_per_second=batch_size / costs.seconds_per_step,
            peak_memory_mb=peak_memory_mb(device),
        )
    )


if __name__ == "__main__":
    main(BORN, estimate)
