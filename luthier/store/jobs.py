"""The queue: jobs that workers claim with a lease, cancel, retry and finish. Next: `sweeper`.

A lease is a counter that the owner raises. Nobody compares clocks: whoever has seen the counter stand still for
long enough by a clock of its own may take the job away. Every write of an owner names owner, attempt and state, so one
that was taken for dead and comes back changes nothing: it gets LeaseLost.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, select, update

from luthier.store.database import Database, now
from luthier.store.tables import jobs

MOST_ATTEMPTS = 3  # without new progress; then the job has failed
AT_ONCE = 128  # rows of one write


class State(StrEnum):
    QUEUED = "queued"  # waits for a worker: -> RUNNING by claim, -> CANCELLED by request_cancel
    RUNNING = "running"  # held by `owner`: -> DONE, FAILED, CANCELLED; -> QUEUED by release, fail, expire
    DONE = "done"  # ended well; for good
    FAILED = "failed"  # ended badly, `reasons` say why; for good
    CANCELLED = "cancelled"  # stopped because someone asked; for good


class LeaseLost(Exception):  # noqa: N818 - it is news, not a mistake
    """The job is no longer this owner's: nothing was written, and nothing may be."""


@dataclass(frozen=True)
class Job:
    seq: int
    kind: str
    lane: str
    payload: dict[str, Any]
    user: str
    subject: int | None
    owner: str
    attempt: int
    progress: int  # the farthest step of all attempts
    failures: int = 0  # attempts in a row that brought no progress, this one not counted
    reasons: tuple[str, ...] = ()  # why earlier attempts ended
    cancel: bool = False  # asked for while it waited for this attempt
    cancelled_by: str = ""
    priority: int = 0

    @property
    def spent(self) -> bool:
        """True where no attempt is left: whoever claims it says so and fails it."""
        return self.failures >= MOST_ATTEMPTS


@dataclass(frozen=True)
class Heartbeat:
    held: bool  # False: another has the job now, stop at once
    cancel: bool
    cancelled_by: str


def enqueue(
    connection: Connection,
    kind: str,
    lane: str,
    user: str,
    payload: dict[str, Any],
    subject: int | None = None,
    priority: int = 0,
) -> int:
    """A new job, visible when the caller's transaction commits. Returns its seq."""
    row = {
        "kind": kind,
        "lane": lane,
        "user": user,
        "payload": json.dumps(payload),
        "subject": subject,
        "priority": priority,
    }
    result = connection.execute(jobs.insert().values(**row, state=State.QUEUED, created_at=now()))
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def claim(database: Database, owner: str, lane: str, kinds: Sequence[str] = ()) -> Job | None:
    """QUEUED -> RUNNING for the first job of a lane (of some kinds), or None where none waits.

    One statement: no two workers get the same.
    """
    queued = [jobs.c.lane == lane, jobs.c.state == State.QUEUED]
    if kinds:
        queued.append(jobs.c.kind.in_(kinds))
    first = select(jobs.c.seq).where(*queued).order_by(jobs.c.priority.desc(), jobs.c.seq).limit(1)
    with database.read() as connection:  # most polls find nothing; those take no lock
        if connection.execute(first).first() is None:
            return None
    unlocked = first.with_for_update(skip_locked=True)  # for PostgreSQL; SQLite has one writer at a time anyway
    taken = (
        update(jobs)
        .where(jobs.c.seq == unlocked.scalar_subquery(), jobs.c.state == State.QUEUED)
        .values(
            state=State.RUNNING, owner=owner, attempt=jobs.c.attempt + 1, lease=jobs.c.lease + 1, heartbeat_at=now()
        )
        .returning(jobs)
    )
    with database.write() as connection:
        row = connection.execute(taken).mappings().first()
    return _job(row) if row else None


def heartbeat(database: Database, job: Job, progress: int) -> Heartbeat:
    """Renews the lease and says whether the job is to be cancelled. New progress forgives earlier failures."""
    values = {"lease": jobs.c.lease + 1, "heartbeat_at": now(), **_farther(progress)}
    renewed = update(jobs).where(_held(job)).values(**values).returning(jobs.c.cancel_requested, jobs.c.cancelled_by)
    with database.write() as connection:
        row = connection.execute(renewed).first()
    return Heartbeat(True, bool(row[0]), str(row[1])) if row else Heartbeat(False, False, "")


def require(connection: Connection, job: Job) -> None:
    """Raises LeaseLost unless the job is still its owner's; holds it so until the transaction ends."""
    if connection.execute(select(jobs.c.seq).where(_held(job)).with_for_update()).first() is None:
        raise LeaseLost(f"job {job.seq}")


def advance(connection: Connection, job: Job, progress: int) -> None:
    """Notes how far the job has come, as `heartbeat` does; raises LeaseLost."""
    if not connection.execute(update(jobs).where(_held(job)).values(**_farther(progress))).rowcount:
        raise LeaseLost(f"job {job.seq}")


def _farther(progress: int) -> dict[str, Any]:
    return {
        "attempts_without_progress": case((jobs.c.progress < progress, 0), else_=jobs.c.attempts_without_progress),
        "progress": case((jobs.c.progress < progress, progress), else_=jobs.c.progress),
    }


def finish(connection: Connection, job: Job) -> None:
    """RUNNING -> DONE; raises LeaseLost. Call it in the transaction that writes the job's result."""
    _leave(connection, job, state=State.DONE, finished_at=now())


def cancelled(connection: Connection, job: Job) -> None:
    """RUNNING -> CANCELLED: its owner has stopped the work; raises LeaseLost."""
    _leave(connection, job, state=State.CANCELLED, finished_at=now())


def release(connection: Connection, job: Job) -> None:
    """RUNNING -> QUEUED: its owner goes away in good order, which counts against nobody; raises LeaseLost."""
    _leave(connection, job, state=State.QUEUED, owner="")


def postpone(connection: Connection, job: Job) -> None:
    """RUNNING -> QUEUED, behind the others: what it needs is taken now; raises LeaseLost."""
    _leave(connection, job, state=State.QUEUED, owner="", priority=job.priority - 1)


def fail(connection: Connection, job: Job, reason: str, retry: bool) -> State:
    """RUNNING -> QUEUED for another attempt, or -> FAILED where `retry` is false or this was the last one.

    Raises LeaseLost. `reasons(connection, job.seq)` then gives every attempt's.
    """
    so_far = select(jobs.c.reasons, jobs.c.attempts_without_progress).where(_held(job)).with_for_update()
    row = connection.execute(so_far).first()
    if row is None:
        raise LeaseLost(f"job {job.seq}")
    again = retry and row[1] + 1 < MOST_ATTEMPTS
    values: dict[str, Any] = {"reasons": with_reason(row[0], reason), "attempts_without_progress": row[1] + 1}
    if again:
        _leave(connection, job, state=State.QUEUED, owner="", **values)
        return State.QUEUED
    _leave(connection, job, state=State.FAILED, finished_at=now(), **values)
    return State.FAILED


def give_up(connection: Connection, job: Job) -> None:
    """RUNNING -> FAILED for a job that is `spent`; raises LeaseLost."""
    _leave(connection, job, state=State.FAILED, finished_at=now())


def expire(connection: Connection, seq: int, owner: str, attempt: int, lease: int, reason: str) -> bool:
    """RUNNING -> QUEUED for a job whose owner shows no sign of life; False where it showed one meanwhile.

    It counts as a failed attempt: a job that kills its workers ends too. The last claim then fails it (`Job.spent`).
    """
    held = and_(
        jobs.c.seq == seq,
        jobs.c.owner == owner,
        jobs.c.attempt == attempt,
        jobs.c.lease == lease,
        jobs.c.state == State.RUNNING,
    )
    old = connection.execute(select(jobs.c.reasons).where(held).with_for_update()).scalar()
    if old is None:
        return False
    values = {"reasons": with_reason(old, reason), "attempts_without_progress": jobs.c.attempts_without_progress + 1}
    return connection.execute(update(jobs).where(held).values(state=State.QUEUED, owner="", **values)).rowcount == 1


def release_owner(database: Database, owner: str) -> int:
    """RUNNING -> QUEUED for all jobs of a worker that its parent saw die; returns how many. Counts like an expiry."""
    mine = select(jobs.c.seq, jobs.c.attempt, jobs.c.lease).where(jobs.c.owner == owner, jobs.c.state == State.RUNNING)
    with database.write() as connection:
        rows = connection.execute(mine).all()
        return sum(
            expire(connection, seq, owner, attempt, lease, f"worker {owner} died") for seq, attempt, lease in rows
        )


def request_cancel(connection: Connection, kind: str, subject: int, by: str) -> State | None:
    """Cancels the job of that kind and subject: QUEUED -> CANCELLED at once, RUNNING gets a flag that its owner obeys.

    Returns the state it is left in (RUNNING: soon CANCELLED), the last state of one that had ended, None for no job.
    """
    this = and_(jobs.c.kind == kind, jobs.c.subject == subject)
    connection.execute(select(jobs.c.seq).where(this).with_for_update())  # no claim between the steps below
    waiting_one = update(jobs).where(this, jobs.c.state == State.QUEUED)
    gone = connection.execute(waiting_one.values(state=State.CANCELLED, cancelled_by=by, finished_at=now()))
    if gone.rowcount:
        return State.CANCELLED
    running = update(jobs).where(this, jobs.c.state == State.RUNNING, jobs.c.cancel_requested.is_(False))
    connection.execute(running.values(cancel_requested=True, cancelled_by=by))
    state = connection.execute(select(jobs.c.state).where(this).order_by(jobs.c.seq.desc()).limit(1)).scalar()
    return State(state) if state else None


def waiting(connection: Connection, user: str, kind: str) -> int:
    """How many jobs of that kind one user has in the queue, running ones not counted."""
    mine = (jobs.c.user == user, jobs.c.kind == kind, jobs.c.state == State.QUEUED)
    return int(connection.execute(select(func.count()).select_from(jobs).where(*mine)).scalar_one())


def more_urgent(connection: Connection, lane: str, priority: int) -> bool:
    """Whether a job of higher priority waits in the lane."""
    before = (jobs.c.lane == lane, jobs.c.state == State.QUEUED, jobs.c.priority > priority)
    return connection.execute(select(jobs.c.seq).where(*before).limit(1)).first() is not None


def active(connection: Connection, kind: str, subject: int | None = None) -> list[dict[str, Any]]:
    """Payloads of the jobs of a kind that wait or run."""
    alive = [jobs.c.kind == kind, jobs.c.state.in_((State.QUEUED, State.RUNNING))]
    if subject is not None:
        alive.append(jobs.c.subject == subject)
    return [json.loads(text) for text in connection.execute(select(jobs.c.payload).where(*alive)).scalars()]


def reasons(connection: Connection, seq: int) -> list[str]:
    """Why each failed attempt of a job ended, oldest first."""
    text = connection.execute(select(jobs.c.reasons).where(jobs.c.seq == seq)).scalar()
    return list(json.loads(text)) if text else []


def forget_ended(connection: Connection, before: float) -> int:
    """Removes the first AT_ONCE of the jobs that ended before that time; returns how many.

    What they were for has its own row, which says how it ended; nothing refers to a job for longer than it takes to
    see its end.
    """
    ended = jobs.c.state.in_((State.DONE, State.FAILED, State.CANCELLED))
    old = select(jobs.c.seq).where(jobs.c.finished_at < before, ended).order_by(jobs.c.finished_at).limit(AT_ONCE)
    seqs = list(connection.execute(old).scalars())
    return connection.execute(delete(jobs).where(jobs.c.seq.in_(seqs))).rowcount


def with_reason(old: str, reason: str) -> str:
    return json.dumps([*json.loads(old), reason][-10:], ensure_ascii=False)


def _held(job: Job) -> ColumnElement[bool]:
    mine = (jobs.c.owner == job.owner, jobs.c.attempt == job.attempt, jobs.c.state == State.RUNNING)
    return and_(jobs.c.seq == job.seq, *mine)


def _leave(connection: Connection, job: Job, **values: Any) -> None:
    if connection.execute(update(jobs).where(_held(job)).values(**values)).rowcount != 1:
        raise LeaseLost(f"job {job.seq}")


def _job(row: Any) -> Job:
    return Job(
        seq=row["seq"],
        kind=row["kind"],
        lane=row["lane"],
        payload=json.loads(row["payload"]),
        user=row["user"],
        subject=row["subject"],
        owner=row["owner"],
        attempt=row["attempt"],
        progress=row["progress"],
        failures=row["attempts_without_progress"],
        reasons=tuple(json.loads(row["reasons"])),
        cancel=bool(row["cancel_requested"]),
        cancelled_by=row["cancelled_by"],
        priority=row["priority"],
    )
