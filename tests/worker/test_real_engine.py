"""The worker with the engine that users have: a training that is killed and goes on, a measurement, a cancel."""

import dataclasses
import os
import signal
import time
from collections.abc import Iterator

import pytest

from luthier.store import calibrations, jobs, logs
from luthier.store.devices import current_device
from luthier.worker.loop import Worker
from tests.runs.test_launch import alive
from tests.worker.world import World


@pytest.fixture
def worker(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = dataclasses.replace(world.settings, lease_seconds=30.0)  # as users have it: a disk may stall for seconds
    made = Worker(settings, "real", introduce=False)
    made.start()
    yield made
    made.end_at_once()
    assert made.join(20)


def engine_pid(world: World, seq: int) -> int:
    return int((world.settings.runs_folder / world.version(seq).id / "engine.pid").read_text().split()[0])


def test_a_killed_training_goes_on_and_its_result_is_served_with_metrics(
    world: World, digits: list[tuple[str, bytes]], worker: Worker
) -> None:
    world.add_inputs([(f"d{label}", data) for label, data in digits if label in "0123"][:160])
    seq = world.train(hyperparameters={"num_epochs": 4, "image_size": 32, "batch_size": 16})
    run = world.settings.runs_folder / world.version(seq).id
    world.until(lambda: list(run.glob("checkpoints/step-*")), 120)
    first = engine_pid(world, seq)
    os.kill(first, signal.SIGKILL)
    version = world.ended(seq, 180)
    assert version.status == 21100, version.details
    assert not alive(first)
    assert version.results["metrics"]["accuracy"] > 0.5 and version.results["val_metrics"]
    assert version.results["plan"]["epochs"] == 4 and version.input_count == 160
    assert (run / version.checkpoint / "model.safetensors").exists()
    with world.database.read() as connection:
        log = "".join(logs.read(connection, seq))
        (measured,) = calibrations.all_for(connection, current_device(connection)[0])  # type: ignore[index]
    assert "Going on from step" in log and "Estimated 10.0 s" in log
    assert measured.seconds_per_step > 0 and measured.image_size == 32 and measured.batch_size == 16


def test_a_measurement_is_kept_for_its_device_size_and_batch(
    world: World, digits: list[tuple[str, bytes]], worker: Worker
) -> None:
    payload = {"model_type": "visual-classifier", "template": "luthier_tiny_resnet", "image_size": 48, "batch_size": 8}
    with world.database.write() as connection:
        jobs.enqueue(connection, "calibration", "training", "ada", payload, priority=-10)

    def found() -> list[calibrations.Calibration]:
        with world.database.read() as connection:
            device = current_device(connection)
            return calibrations.all_for(connection, device[0]) if device else []

    (measured,) = world.until(found, 120)
    assert (measured.template, measured.image_size, measured.batch_size) == ("luthier_tiny_resnet", 48, 8)
    assert measured.seconds_per_step > 0 and measured.start_seconds > 0 and measured.checkpoint_seconds > 0
    world.until(lambda: not list((world.settings.runs_folder / ".calibrations").iterdir()), 20)


def test_p5_a_real_training_is_cancelled_within_five_seconds_and_can_be_gone_on_from(
    world: World, digits: list[tuple[str, bytes]], worker: Worker
) -> None:
    world.add_inputs([(f"d{label}", data) for label, data in digits if label in "01"][:100])
    seq = world.train(hyperparameters={"num_epochs": 200, "image_size": 32, "batch_size": 16})
    world.until(lambda: world.version(seq).details.startswith("epoch 2"), 120)
    began = time.monotonic()
    with world.database.write() as connection:
        jobs.request_cancel(connection, "training", seq, "ada")
    version = world.ended(seq, 10)
    assert time.monotonic() - began < 5
    assert version.details.startswith("cancelled by ada at epoch ") and version.checkpoint
    resume = {"model_id": "clf", "version_id": version.id}
    again = world.train(hyperparameters={"num_epochs": 1, "image_size": 32, "batch_size": 16}, resume_from=resume)
    assert world.ended(again, 120).status == 21100
