"""Measurements wait for trainings, and one that fails harms nobody. The engine is the fake of tests/runs."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select

from luthier.store import calibrations, jobs
from luthier.store.tables import jobs as jobs_table
from luthier.worker import calibration_job
from luthier.worker.loop import Worker
from luthier.worker.work import Work
from tests.worker.conftest import FAKE
from tests.worker.world import World

Start = Callable[..., Worker]
PAYLOAD = {"model_type": "visual-classifier", "template": "luthier_tiny_resnet"}


@pytest.fixture(autouse=True)
def estimate_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_job, "ESTIMATE", FAKE)


def measure(world: World, *attempts: list[Any]) -> int:
    folder = world.settings.runs_folder / calibration_job.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "play.json").write_text(json.dumps(attempts))
    with world.database.write() as connection:
        return jobs.enqueue(connection, "calibration", "training", "ada", PAYLOAD, priority=-10)


def job(world: World, seq: int) -> dict[str, Any]:
    with world.database.read() as connection:
        return dict(connection.execute(select(jobs_table).where(jobs_table.c.seq == seq)).mappings().one())


@pytest.mark.parametrize(
    ("model_type", "template", "size", "in_plan"),
    [
        ("visual-classifier", "luthier_tiny_resnet", 48, 48),
        ("visual-detector", "luthier_tiny_detector", [240], (240,)),
        ("visual-detector", "Clarifai_InceptionV4", "320", (320,)),
        ("visual-segmenter", "MMSegmentation_SegFormer", [640, 480], (640, 480)),
    ],
)
def test_pictures_are_as_large_as_the_estimate_counts_them(
    model_type: str, template: str, size: Any, in_plan: Any, world: World
) -> None:
    work = cast(Work, SimpleNamespace(settings=world.settings, job=SimpleNamespace(seq=1)))
    chosen = {"image_size": size, "batch_size": 4}
    payload = {"model_type": model_type, "template": template, "hyperparameters": chosen, "batch_size": 4}
    spec = calibration_job._spec(work, {**payload, "image_size": 240})
    assert (spec.plan["image_size"], spec.plan["batch_size"]) == (in_plan, 4)


def test_a_training_does_not_wait_for_a_measurement(labelled: World, start_worker: Start) -> None:
    seq = measure(labelled, [["started"], ["sleep", 600]])
    start_worker([["finish"]])
    labelled.until(lambda: job(labelled, seq)["state"] == "running")
    assert labelled.ended(labelled.train(), 20).status == 21100
    assert job(labelled, seq)["attempts_without_progress"] == 0
    labelled.until(lambda: job(labelled, seq)["attempt"] == 2)  # it is taken up again afterwards


@pytest.mark.parametrize("steps", [[["fail", 21106, "Model training failed", "no such layer"]], [["kill"]]])
def test_a_measurement_that_fails_is_not_repeated_and_leaves_nothing(
    world: World, start_worker: Start, steps: Any
) -> None:
    seq = measure(world, steps)
    start_worker()
    found = world.until(lambda: (row := job(world, seq))["state"] == "failed" and row)
    assert "no such layer" in found["reasons"] or "signal 9" in found["reasons"]
    with world.database.read() as connection:
        assert calibrations.all_for(connection, "cpu (fake)/1") == []
    folder = world.settings.runs_folder / calibration_job.FOLDER
    assert [path.name for path in folder.iterdir()] == ["play.json"]
