"""The worker process: claims jobs, runs them, renews their leases, ends in good order. Next: `lease`, `training_job`.

Lanes run side by side, each in threads of its own: inputs are checked while versions are frozen while one trains.
"""

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from luthier.errors import LuthierError
from luthier.predictors.client import PredictorsClient
from luthier.runs.launch import ENGINE, Standby
from luthier.settings import Settings
from luthier.store import calibrations, devices, jobs
from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.store.jobs import Job, LeaseLost
from luthier.store.sweeper import Sweeper
from luthier.worker import housekeeping
from luthier.worker.calibration_job import CalibrationJob
from luthier.worker.device import ask_engine, device_key, device_kind
from luthier.worker.export_job import ExportJob
from luthier.worker.fetch_job import LANES as FETCH_LANES
from luthier.worker.fetch_job import NOW_LANES, Asked, FetchJob, HostRoom, Inputs
from luthier.worker.fetching.fetcher import Fetcher
from luthier.worker.import_job import ImportJob
from luthier.worker.ingest_job import IngestJob
from luthier.worker.lease import Interrupted, Lease, Why
from luthier.worker.snapshot_job import SnapshotJob
from luthier.worker.training_job import TrainingJob
from luthier.worker.vectors_job import VectorsJob
from luthier.worker.work import Work

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.15  # between looks at an empty queue
TROUBLE_SECONDS = 2.0  # after the database could not be asked
TIDY_SECONDS = 600.0
SIGNAL_SECONDS = 0.1  # between looks for a signal
FIRST_CALIBRATION = {"model_type": "visual-classifier", "template": "luthier_tiny_resnet"}


class Kind(Protocol):
    """A kind of job. `run` ends the job itself, in the transaction of its result, or raises."""

    kind: str

    def run(self, work: Work) -> None: ...

    def gave_up(self, connection: Connection, job: Job, why: Sequence[str]) -> None:
        """The job has failed for good; called in the transaction that says so."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Lane:
    """A thread that takes jobs of some kinds from a lane of the queue."""

    name: str
    kinds: tuple[str, ...]
    idle_seconds: float = IDLE_SECONDS


def worker_name(pid: int | None = None) -> str:
    """Host and process: what a job's row says of its owner."""
    return f"{socket.gethostname()[:40]}:{pid or os.getpid()}"


class Worker:
    """`engine` is the module that trains; without `introduce` it is neither asked for its device nor warmed."""

    def __init__(self, settings: Settings, name: str = "", engine: str = ENGINE, *, introduce: bool = True) -> None:
        self.settings = settings
        self._introduces = introduce
        self.name = name or worker_name()
        self.database = Database.of(settings)
        self.blobs = Blobs(settings.blobs_folder.absolute(), settings.disk_reserve_mb)
        self.standby = Standby(engine)
        self._fetcher, self._hosts = Fetcher(settings), HostRoom()
        self.draining = threading.Event()
        self.at_once = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts every lane; returns at once."""
        self.settings.runs_folder.mkdir(parents=True, exist_ok=True)
        lanes = [Lane("data", ("ingest",)), Lane("data", ("snapshot",)), Lane("data", ("export",))]
        lanes += [Lane("data", ("import",)), Lane("data", ("vectors",))]
        lanes += [Lane("data", ("fetch",), IDLE_SECONDS * FETCH_LANES / 2)] * FETCH_LANES
        lanes += [Lane("data", ("fetch_now",))] * NOW_LANES
        lanes += [Lane("training", ())] * self.settings.training_slots
        for lane in lanes:
            self._thread(f"{lane.name}-{'-'.join(lane.kinds) or 'any'}", partial(self._work, lane))
        self._thread("sweeper", self._sweep)
        self._thread("housekeeping", self._tidy)
        if self._introduces:
            threading.Thread(target=self._introduce, name="device", daemon=True).start()  # nobody waits for it to end

    def drain(self) -> None:
        """Takes no more jobs; running trainings save where they stand and go back to the queue."""
        self.draining.set()

    def end_at_once(self) -> None:
        """The same without any time to save."""
        self.at_once.set()
        self.draining.set()

    def join(self, timeout: float | None = None) -> bool:
        """Waits for every lane to end; False where one has not in time."""
        until = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        ended = not any(thread.is_alive() for thread in self._threads)
        if ended:
            self.standby.close()
            self.blobs.close()
            self.database.close()
        return ended

    # -- lanes ---------------------------------------------------------------------------------------------------------

    def _work(self, lane: Lane) -> None:
        kinds = self._kinds(lane)
        try:
            while not self.draining.is_set():
                try:
                    job = jobs.claim(self.database, self.name, lane.name, tuple(kinds))
                    if job is None:
                        self.draining.wait(lane.idle_seconds)
                    else:
                        self._run(kinds[job.kind], job)
                except Exception:
                    log.exception("lane %s", lane.name)
                    self.draining.wait(TROUBLE_SECONDS)
        finally:
            for kind in kinds.values():
                kind.close()

    def _kinds(self, lane: Lane) -> dict[str, Kind]:
        settings = self.settings
        data: dict[str, Callable[[], Kind]] = {
            "ingest": lambda: IngestJob(settings.decode_memory_mb, settings.decode_seconds),
            "fetch": lambda: FetchJob("fetch", Inputs(), self._fetcher, self._hosts),
            "fetch_now": lambda: FetchJob("fetch_now", Asked(), self._fetcher, self._hosts),
            "snapshot": SnapshotJob,
            "export": ExportJob,
            "import": ImportJob,
            "vectors": lambda: VectorsJob(PredictorsClient(settings.predictors_socket)),
        }
        training: dict[str, Callable[[], Kind]] = {"training": TrainingJob, "calibration": CalibrationJob}
        every = data if lane.name == "data" else training
        return {name: make() for name, make in every.items() if name in (lane.kinds or tuple(every))}

    def _run(self, kind: Kind, job: Job) -> None:
        """One attempt at a job, whatever comes of it."""
        lease = Lease(
            self.database,
            job,
            lease_seconds=self.settings.lease_seconds,
            heartbeat_seconds=self.settings.heartbeat_seconds,
            draining=self.draining,
        )
        work = Work(job, lease, self.database, self.blobs, self.settings, self.standby, self.at_once, self.name)
        try:
            with lease:
                self._attempt(kind, work)
        except LeaseLost:
            log.warning("%s job %d was lost to another worker", job.kind, job.seq)

    def _attempt(self, kind: Kind, work: Work) -> None:
        job = work.job
        if job.spent:
            with self.database.write() as connection:
                jobs.give_up(connection, job)
                kind.gave_up(connection, job, job.reasons)
            return
        try:
            kind.run(work)
        except Interrupted as interrupted:
            self._interrupted(job, interrupted.why)
        except LeaseLost:
            raise
        except Exception as error:
            known = isinstance(error, LuthierError)  # says itself what happened: data that a user deleted meanwhile
            level, told = (logging.WARNING, f": {error}") if known else (logging.ERROR, "")
            log.log(level, "%s job %d, attempt %d%s", job.kind, job.seq, job.attempt, told, exc_info=not known)
            with self.database.write() as connection:
                if jobs.fail(connection, job, f"{type(error).__name__}: {error}", retry=True) is jobs.State.FAILED:
                    kind.gave_up(connection, job, jobs.reasons(connection, job.seq))

    def _interrupted(self, job: Job, why: Why) -> None:
        if why is Why.LOST:
            raise LeaseLost(f"job {job.seq}")
        with self.database.write() as connection:
            (jobs.cancelled if why is Why.CANCELLED else jobs.release)(connection, job)

    # -- beside them ---------------------------------------------------------------------------------------------------

    def _thread(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _sweep(self) -> None:
        sweeper = Sweeper(self.settings.lease_seconds)
        while not self.draining.wait(self.settings.lease_seconds / 6):
            try:
                for seq in sweeper.sweep(self.database):
                    log.warning("job %d: its worker shows no sign of life, it is in the queue again", seq)
            except Exception:
                log.exception("sweep")

    def _tidy(self) -> None:
        since = 0.0
        while not self.draining.wait(TIDY_SECONDS):
            try:
                began = time.time()
                removed = housekeeping.tidy(self.settings, self.database, self.blobs, since=since)
                since = began
                if any(removed):
                    log.info("removed %d files and %d run folders that nothing names", *removed)
            except Exception:
                log.exception("tidying up")

    def _introduce(self) -> None:
        """Tells what this worker trains on, sees that it is measured, and warms the first engine."""
        if self.settings.warm_start:
            self.standby.warm()
        try:
            name = ask_engine()
        except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
            log.warning("the engine does not say what it runs on, so estimates stay rough: %s", error)
            return
        device = device_key(name, self.settings.training_threads)
        if not self.draining.is_set():
            self._measure_once(device, device_kind(name))

    def _measure_once(self, device: str, kind: str) -> None:
        with self.database.write() as connection:
            devices.seen(connection, self.name, device, kind)
            known = [one.template for one in calibrations.all_for(connection, device)]
            waiting = [payload.get("template") for payload in jobs.active(connection, "calibration")]
            if FIRST_CALIBRATION["template"] not in (*known, *waiting):
                jobs.enqueue(connection, "calibration", "training", "", dict(FIRST_CALIBRATION), priority=-10)


def run(settings: Settings, owner: str = "") -> int:
    """What `luthier worker` does, until SIGTERM or SIGINT; a second signal ends it at once. Returns the exit code."""
    worker = Worker(settings, owner)
    signals: list[int] = []  # a handler may set no event: the thread it interrupts may hold the event's lock
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: signals.append(number))
    worker.start()
    log.info("worker %s: waiting for jobs", worker.name)
    while not signals:
        time.sleep(SIGNAL_SECONDS)
    worker.drain()
    while not worker.join(SIGNAL_SECONDS):
        if len(signals) > 1:
            worker.end_at_once()
            worker.join(1.0)
            break
    worker.standby.close()
    log.info("worker %s: ended", worker.name)
    return 0
