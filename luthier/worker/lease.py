"""A worker's hold on one job: renewed by a thread of its own, and the news whether to stop. Next: `loop`."""

import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from luthier.errors import TryAgain
from luthier.store import jobs
from luthier.store.database import Database
from luthier.store.jobs import Job

log = logging.getLogger(__name__)

LOST_AFTER = 2 / 3  # of the lease without a renewal: stop, before another worker may start


class Why(StrEnum):
    """Why work on a job stops before its end."""

    CANCELLED = "cancelled"  # someone asked for it
    DRAINED = "drained"  # this worker is to end; the job goes back to the queue
    LOST = "lost"  # another may have the job by now: write nothing


class Interrupted(Exception):  # noqa: N818 - it is news, not a mistake
    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


class Lease:
    """Use it as a context manager around the work; ask `why` often. `progress` is written with each sign of life."""

    def __init__(
        self,
        database: Database,
        job: Job,
        *,
        lease_seconds: float,
        heartbeat_seconds: float,
        draining: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job = job
        self.progress = 0
        self.cancelled_by = job.cancelled_by
        self._database = database
        self._lease_seconds = lease_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._draining = draining
        self._clock = clock
        self._renewed = clock()
        self._cancelled = job.cancel
        self._lost = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{job.seq}", daemon=True)

    @property
    def why(self) -> Why | None:
        """None while the work may go on. Being lost comes first: then nothing else matters."""
        if self._lost or self._clock() - self._renewed > self._lease_seconds * LOST_AFTER:
            return Why.LOST
        if self._cancelled:
            return Why.CANCELLED
        return Why.DRAINED if self._draining.is_set() else None

    def check(self) -> None:
        """Raises Interrupted where the work may not go on."""
        if why := self.why:
            raise Interrupted(why)

    def sleep(self, seconds: float) -> None:
        """Waits, and raises Interrupted as soon as there is reason to."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.1))
        self.check()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._closed.wait(self._heartbeat_seconds):
            self.renew()

    def renew(self) -> None:
        """One sign of life, and what comes back with it."""
        began = self._clock()
        try:
            answer = jobs.heartbeat(self._database, self.job, self.progress)
        except (SQLAlchemyError, TryAgain) as error:
            log.warning("job %d: the lease could not be renewed: %s", self.job.seq, error)
            return
        if not answer.held:
            self._lost = True
            return
        self._renewed = began  # not later: the counter was raised at some moment after this
        if answer.cancel:
            self.cancelled_by, self._cancelled = answer.cancelled_by, True
