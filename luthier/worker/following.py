"""Follows an engine: its events become a version's progress, its log the store's; and says why it is to stop.

Next: `training_job`, which does something about how it ended.
"""

import logging
import queue
import threading
import time
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from luthier.errors import TryAgain
from luthier.runs.events import (
    MAIN_METRICS,
    Checkpointed,
    Evaluated,
    Event,
    Failed,
    Finished,
    Started,
    StepDone,
    Stopped,
)
from luthier.runs.launch import EngineProcess
from luthier.store import jobs, versions
from luthier.store.jobs import LeaseLost
from luthier.store.versions import Version
from luthier.worker.lease import Why
from luthier.worker.run_log import LogCopy
from luthier.worker.work import Work

log = logging.getLogger(__name__)

TICK_SECONDS = 0.1
WRITE_SECONDS = 1.0  # between writes of progress and log
WARM_AFTER_SECONDS = 15.0  # the next idle engine loads its libraries when this one is well under way
CANCEL_GRACE_SECONDS = 2.7  # to save where it stands; the engine itself gives up after 2.5
DRAIN_GRACE_SECONDS = 20.0


@dataclass
class Seen:
    """What the events have told so far."""

    started: Started | None = None
    step: StepDone | None = None
    finished: Finished | None = None
    failed: Failed | None = None
    stopped: Stopped | None = None
    metric: str = ""  # of the last validation, as "accuracy 0.97"
    checkpoint_seconds: list[float] = field(default_factory=list)
    item_seconds: list[float] = field(default_factory=list)  # of validation, per item

    def add(self, event: Event) -> None:
        match event:
            case Started():
                self.started = event
            case StepDone():
                self.step = event
            case Evaluated():
                self._evaluated(event)
            case Checkpointed():
                self.checkpoint_seconds.append(event.seconds)
            case Finished():
                self.finished = event
            case Failed():
                self.failed = event
            case Stopped():
                self.stopped = event

    def _evaluated(self, event: Evaluated) -> None:
        if event.split == "val":
            named = (f"{name} {event.metrics[name]:.2f}" for name in MAIN_METRICS if name in event.metrics)
            self.metric = next(named, self.metric)
        items = 0
        if self.started:
            items = self.started.val_examples if event.split == "val" else self.started.test_examples
        if items:
            self.item_seconds.append(event.seconds / items)

    @property
    def percent(self) -> int:
        return min(99, 100 * self.step.step // max(1, self.step.total_steps)) if self.step else 0

    @property
    def seconds_left(self) -> int:
        return max(0, round(self.step.seconds_left)) if self.step else 0

    @property
    def where(self) -> str:
        """As it stands in an error: "at epoch 3", or where it had not come so far."""
        return f"at epoch {self.step.epoch}" if self.step else "before the first step"

    @property
    def details(self) -> str:
        """ "epoch 3 of 12, loss 0.21, accuracy 0.97" """
        if not self.started:
            return "starting"
        if not self.step:
            return f"epoch 1 of {self.started.total_epochs}"
        metric = f", {self.metric}" if self.metric else ""
        return f"epoch {self.step.epoch} of {self.started.total_epochs}, loss {self.step.loss:.3g}{metric}"


@dataclass(frozen=True)
class Ending:
    """How it ended. `why` is set where this worker ended it; `gone`: the version's row was deleted."""

    seen: Seen
    returncode: int | None
    why: Why | None
    gone: bool


def follow(work: Work, version: Version, engine: EngineProcess) -> Ending:
    """Stays with the engine until it has ended; writes progress and log about once a second."""
    return _Follower(work, version, engine).run()


class _Follower:
    def __init__(self, work: Work, version: Version, engine: EngineProcess) -> None:
        self._work = work
        self._version = version
        self._engine = engine
        self._seen = Seen()
        self._log = LogCopy(engine.run, version.seq)
        self._gone = False
        self._why: Why | None = None
        self._began = self._wrote = time.monotonic()
        self._warmed = False
        with work.database.read() as connection:
            self._log.find_position(connection)

    def run(self) -> Ending:
        events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        reader = threading.Thread(target=self._read, args=(events,), name=f"events-{self._version.id}", daemon=True)
        reader.start()
        while not self._take(events):
            if self._why is None:
                self._look()
            elif self._work.at_once.is_set():
                self._engine.kill()
        self._write(whole=True)
        return Ending(self._seen, self._engine.returncode, self._why, self._gone)

    def _read(self, events: "queue.SimpleQueue[Event | None]") -> None:
        try:
            for event in self._engine.events():
                events.put(event)
        finally:
            events.put(None)

    def _take(self, events: "queue.SimpleQueue[Event | None]") -> bool:
        """Takes what has come within a tick; True at the end."""
        try:
            event = events.get(timeout=TICK_SECONDS)
            while event is not None:
                self._seen.add(event)
                event = events.get_nowait()
            return True
        except queue.Empty:
            return False

    def _look(self) -> None:
        """Renews what others see, and stops the engine where there is reason to."""
        if self._seen.step:
            self._work.lease.progress = self._seen.step.step
        if time.monotonic() - self._wrote >= WRITE_SECONDS:
            self._write(whole=False)
        if not self._warmed and time.monotonic() - self._began > WARM_AFTER_SECONDS and self._work.settings.warm_start:
            self._warmed = True
            self._work.standby.warm()
        self._why = self._why or self._work.lease.why
        if self._why:
            threading.Thread(target=self._stop, name=f"stop-{self._version.id}", daemon=True).start()

    def _stop(self) -> None:
        """Ends the engine, with time to save where somebody will want what it saves."""
        graces = {Why.CANCELLED: CANCEL_GRACE_SECONDS, Why.DRAINED: DRAIN_GRACE_SECONDS}
        grace = graces.get(self._why or Why.LOST, 0.0)
        if self._gone or self._work.at_once.is_set() or self._deleted():
            grace = 0.0
        self._engine.stop(grace)

    def _deleted(self) -> bool:
        try:
            with self._work.database.read() as connection:
                self._gone = self._gone or versions.by_seq(connection, self._version.seq) is None
        except (SQLAlchemyError, TryAgain) as error:
            log.warning("version %s: cannot be looked up: %s", self._version.id, error)
        return self._gone

    def _write(self, *, whole: bool) -> None:
        self._wrote = time.monotonic()
        if self._why is Why.LOST or self._gone:
            return
        try:
            while self._write_once(whole) and whole:
                pass
        except LeaseLost:
            self._why = Why.LOST
        except (SQLAlchemyError, TryAgain) as error:  # the lease decides how long that may last
            log.warning("version %s: progress could not be written: %s", self._version.id, error)

    def _write_once(self, whole: bool) -> bool:
        """True where there was text to copy, so there may be more."""
        text, seen = self._log.pending(whole=whole), self._seen
        with self._work.database.write() as connection:
            jobs.advance(connection, self._work.job, self._work.lease.progress)
            progress = (seen.percent, seen.seconds_left, seen.details)
            if not versions.progress(connection, self._version.seq, *progress):
                self._gone = versions.by_seq(connection, self._version.seq) is None
                self._why = self._why or Why.CANCELLED  # deleted, or ended by another hand
                return False
            self._log.store(connection, text)
        self._log.stored()
        return bool(text)
