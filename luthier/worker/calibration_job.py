"""Measures what a template costs on this device, so that estimates are true. Gives way to trainings. Next: `device`.

Payload: {"model_type", "template"}, and where given "hyperparameters" and "batch_size".
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from luthier.catalog import weights
from luthier.catalog.model_type import find_template
from luthier.errors import LuthierError, TrainingFailed
from luthier.runs import launch
from luthier.runs.events import Event, Failed, Finished
from luthier.runs.launch import EngineProcess
from luthier.runs.prepare import prepare
from luthier.runs.run import RunConcept, RunFolder, RunSpec
from luthier.store import calibrations, devices, jobs
from luthier.store.calibrations import Calibration
from luthier.store.jobs import Job
from luthier.worker import reasons
from luthier.worker.device import device_key, device_kind, image_size_of
from luthier.worker.lease import Interrupted, Why
from luthier.worker.work import Work

ESTIMATE = "luthier.engine.estimate"
FOLDER = ".calibrations"  # in the runs folder
CONCEPTS = tuple(RunConcept(f"concept-{number}", f"concept {number}") for number in range(10))
LOOK_SECONDS = 0.2


class CalibrationJob:
    kind = "calibration"

    def run(self, work: Work) -> None:
        parent = work.settings.runs_folder.absolute() / FOLDER
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"job-{work.job.seq}-", dir=parent))
        try:
            self._measure(work, folder)
        except LuthierError as error:
            with work.database.write() as connection:
                jobs.fail(connection, work.job, reasons.of_error(error), retry=False)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def gave_up(self, connection: Connection, job: Job, why: Sequence[str]) -> None:
        """Nobody waits for it: estimates go on being scaled from others."""

    def close(self) -> None:
        """Holds nothing."""

    def _measure(self, work: Work, folder: Path) -> None:
        spec = _spec(work, work.job.payload)
        run = prepare(folder, spec, [], _assets(work, spec))
        engine = launch.start(run, ESTIMATE)
        finished = _finished(work, engine)
        device = str(run.report()["device"])
        measured = _calibration(work, spec, run, finished)
        with work.database.write() as connection:
            jobs.finish(connection, work.job)
            calibrations.record(connection, measured)
            devices.seen(connection, work.worker, measured.device, device_kind(device))


def _finished(work: Work, engine: EngineProcess) -> Finished:
    """Waits for the engine's last word; raises Interrupted, TrainingFailed where it had none."""
    try:
        while engine.returncode is None:
            work.lease.sleep(LOOK_SECONDS)
            _give_way(work)
    finally:
        engine.stop(0)
    last: Event | None = None
    for event in engine.events():
        last = event
    if isinstance(last, Finished):
        return last
    if isinstance(last, Failed):
        raise TrainingFailed(reasons.coded(last.code, last.reason, last.details))
    raise TrainingFailed(reasons.of_exit(engine.returncode, engine.log_tail()))


def _give_way(work: Work) -> None:
    """A training that somebody waits for comes first; this job then goes back to the queue."""
    with work.database.read() as connection:
        if jobs.more_urgent(connection, work.job.lane, work.job.priority):
            raise Interrupted(Why.DRAINED)


def _spec(work: Work, payload: dict[str, Any]) -> RunSpec:
    template = find_template(payload["model_type"], payload["template"])
    values = template.checked(payload.get("hyperparameters", {}))
    plan = asdict(template.plan_for(values))
    if payload.get("batch_size"):  # templates for texts have it elsewhere
        plan["batch_size"] = int(payload["batch_size"])
    return RunSpec(
        run=f"calibration-{work.job.seq}",
        model_type=template.model_type,
        template=template.id,
        recipe=template.recipe,
        backbone=template.backbone_for(values),
        weights="",
        hyperparameters=values,
        plan=plan,
        concepts=CONCEPTS,
        seed=0,
        threads=work.settings.training_threads,
        blob_folder=str(work.settings.blobs_folder.absolute()),
        weights_folder=str(work.settings.weights_folder.absolute()),
        offline=True,
        disk_reserve_mb=work.settings.disk_reserve_mb,
        estimate_only=True,
    )


def _assets(work: Work, spec: RunSpec) -> list[Path]:
    """What a language model needs beside its weights, where the weights are here; its size stands in them."""
    name = find_template(spec.model_type, spec.template).weights(spec.hyperparameters)
    return weights.assets(work.settings.weights_folder, name) if name else []


def _calibration(work: Work, spec: RunSpec, run: RunFolder, finished: Finished) -> Calibration:
    report = run.report()
    template = find_template(spec.model_type, spec.template)
    return Calibration(
        template=spec.template,
        model_type=spec.model_type,
        image_size=image_size_of(spec.hyperparameters),
        batch_size=int(spec.plan["batch_size"]),
        device=device_key(str(report["device"]), work.settings.training_threads),
        seconds_per_step=finished.steady_seconds_per_step,
        seconds_per_validation_item=float(report["seconds_per_validation_item"]),
        start_seconds=float(report["start_seconds"]),
        checkpoint_seconds=float(report["checkpoint_seconds"]),
        gflops_per_item=template.gflops_for(spec.hyperparameters),
    )
