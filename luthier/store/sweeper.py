"""Takes jobs away from workers that show no sign of life. Next: `jobs`, which says what a lease is."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select

from luthier.store.database import Database
from luthier.store.jobs import State, expire
from luthier.store.tables import jobs


@dataclass(frozen=True)
class _Seen:
    lease: int
    since: float  # this process's monotonic clock


class Sweeper:
    """Watches the lease counters. One that stands still for `lease_seconds` of this process's own monotonic clock has
    lost its owner; wall clocks, and other machines' clocks, are never read. Several sweepers may watch one queue.
    """

    def __init__(self, lease_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.lease_seconds = lease_seconds
        self._clock = clock
        self._seen: dict[tuple[int, str, int], _Seen] = {}

    def sweep(self, database: Database) -> list[int]:
        """Looks once; returns the seqs of the jobs that went back to the queue. Call it a few times per lease."""
        held = select(jobs.c.seq, jobs.c.owner, jobs.c.attempt, jobs.c.lease).where(jobs.c.state == State.RUNNING)
        with database.read() as connection:
            rows = {(seq, owner, attempt): lease for seq, owner, attempt, lease in connection.execute(held)}
        time_now = self._clock()
        self._seen = {key: self._still(key, lease, time_now) for key, lease in rows.items()}
        overdue = {key: seen for key, seen in self._seen.items() if time_now - seen.since >= self.lease_seconds}
        return [key[0] for key, seen in overdue.items() if self._expire(database, key, seen.lease)]

    def _still(self, key: tuple[int, str, int], lease: int, time_now: float) -> _Seen:
        before = self._seen.get(key)
        return before if before and before.lease == lease else _Seen(lease, time_now)

    def _expire(self, database: Database, key: tuple[int, str, int], lease: int) -> bool:
        seq, owner, attempt = key
        reason = f"worker {owner} showed no sign of life for {self.lease_seconds:g} s"
        with database.write() as connection:
            return expire(connection, seq, owner, attempt, lease, reason)
