"""The queue: one owner per job, leases by counters, cancel, retries that end."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from luthier.store import job_states, jobs
from luthier.store.database import Database
from luthier.store.jobs import Job, LeaseLost, State
from luthier.store.sweeper import Sweeper
from luthier.store.tables import jobs as table


def enqueue(database: Database, **given: object) -> int:
    values = {"kind": "training", "lane": "training", "user": "ada", "payload": {"n": 1}, **given}
    with database.write() as connection:
        return jobs.enqueue(connection, **values)  # type: ignore[arg-type]


def claim(database: Database, owner: str = "w1", lane: str = "training") -> Job:
    job = jobs.claim(database, owner, lane)
    assert job is not None
    return job


def state(database: Database, seq: int) -> str:
    with database.read() as connection:
        return str(connection.execute(select(table.c.state).where(table.c.seq == seq)).scalar_one())


def fail(database: Database, job: Job, reason: str = "bad luck", retry: bool = True) -> State:
    with database.write() as connection:
        return jobs.fail(connection, job, reason, retry)


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def test_jobs_run_in_order_and_urgent_ones_first(database: Database) -> None:
    first, second = enqueue(database), enqueue(database)
    low, high = enqueue(database, priority=-10), enqueue(database, priority=5)
    assert [claim(database).seq for _ in range(4)] == [high, first, second, low]
    assert jobs.claim(database, "w1", "training") is None


def test_a_lane_and_kinds_are_kept_apart(database: Database) -> None:
    enqueue(database, lane="data", kind="ingest")
    assert jobs.claim(database, "w1", "training") is None
    assert jobs.claim(database, "w1", "data", ("snapshot",)) is None
    job = jobs.claim(database, "w1", "data", ("ingest", "snapshot"))
    assert job is not None and job.payload == {"n": 1} and job.user == "ada" and job.attempt == 1


def test_a_job_of_a_transaction_that_fails_never_existed(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as connection:
        jobs.enqueue(connection, "training", "training", "ada", {})
        raise RuntimeError
    assert jobs.claim(database, "w1", "training") is None


def test_p3_many_claim_at_once_and_no_two_get_the_same(database: Database) -> None:
    made = {enqueue(database) for _ in range(60)}
    claimed: list[int] = []

    def work(owner: str) -> None:
        while (job := jobs.claim(database, owner, "training")) is not None:
            claimed.append(job.seq)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 60 and set(claimed) == made


def test_every_ending_needs_the_lease(database: Database) -> None:
    seq = enqueue(database)
    old = claim(database, "w1")
    with database.write() as connection:
        jobs.release(connection, old)
    new = claim(database, "w2")
    for end in (jobs.require, jobs.finish, jobs.cancelled, jobs.release, jobs.give_up):
        with pytest.raises(LeaseLost), database.write() as connection:
            end(connection, old)
    with pytest.raises(LeaseLost):
        fail(database, old)
    assert not jobs.heartbeat(database, old, 1).held
    assert jobs.heartbeat(database, new, 1).held
    with database.write() as connection:
        jobs.finish(connection, new)
    assert state(database, seq) == State.DONE
    with pytest.raises(LeaseLost), database.write() as connection:
        jobs.finish(connection, new)


def test_p14_three_attempts_without_progress_then_failed_with_every_reason(database: Database) -> None:
    seq = enqueue(database)
    states = [fail(database, claim(database), f"reason {n}") for n in (1, 2, 3)]
    assert states == [State.QUEUED, State.QUEUED, State.FAILED]
    with database.read() as connection:
        assert jobs.reasons(connection, seq) == ["reason 1", "reason 2", "reason 3"]
    assert jobs.claim(database, "w1", "training") is None


def test_p14_progress_forgives_but_only_new_progress(database: Database) -> None:
    enqueue(database)
    for step in (10, 20, 30, 40):
        job = claim(database)
        jobs.heartbeat(database, job, step)
        assert fail(database, job) is State.QUEUED
    for expected in (State.QUEUED, State.FAILED):
        job = claim(database)
        jobs.heartbeat(database, job, 35)
        assert fail(database, job) is expected


def test_what_must_not_be_tried_again_fails_at_once(database: Database) -> None:
    enqueue(database)
    assert fail(database, claim(database), retry=False) is State.FAILED


def test_p14_a_job_that_kills_its_workers_is_spent_after_three(database: Database) -> None:
    seq = enqueue(database)
    for number in range(3):
        assert not claim(database, f"w{number}").spent
        assert jobs.release_owner(database, f"w{number}") == 1
    job = claim(database, "w4")
    assert job.spent and len(job.reasons) == 3
    with database.write() as connection:
        jobs.give_up(connection, job)
    assert state(database, seq) == State.FAILED


def test_release_owner_takes_only_that_owners_jobs(database: Database) -> None:
    first, second = enqueue(database), enqueue(database)
    claim(database, "w1")
    claim(database, "w2")
    assert jobs.release_owner(database, "w1") == 1
    assert (state(database, first), state(database, second)) == (State.QUEUED, State.RUNNING)
    assert claim(database, "w3").attempt == 2


def test_p4_a_lease_expires_by_the_sweepers_own_clock_only(database: Database) -> None:
    seq = enqueue(database)
    job, clock = claim(database), Clock()
    sweeper = Sweeper(30.0, clock)
    with database.write() as connection:  # a clock two hours off, forward or back, decides nothing
        connection.execute(update(table).values(heartbeat_at=table.c.heartbeat_at - 7200))
    assert sweeper.sweep(database) == []
    clock.time += 29
    assert sweeper.sweep(database) == []
    jobs.heartbeat(database, job, 1)
    clock.time += 29
    assert sweeper.sweep(database) == []
    with database.write() as connection:
        connection.execute(update(table).values(heartbeat_at=table.c.heartbeat_at + 14400))
    clock.time += 30
    assert sweeper.sweep(database) == [seq]
    assert state(database, seq) == State.QUEUED
    assert not jobs.heartbeat(database, job, 2).held


def test_p4_a_sweeper_that_has_just_started_waits_a_whole_lease(database: Database) -> None:
    enqueue(database)
    claim(database)
    clock = Clock()
    clock.time = 1e9
    assert Sweeper(30.0, clock).sweep(database) == []


def test_a_new_attempt_gets_a_lease_of_its_own(database: Database) -> None:
    seq, clock = enqueue(database), Clock()
    sweeper = Sweeper(30.0, clock)
    claim(database, "w1")
    sweeper.sweep(database)
    clock.time += 25
    jobs.release_owner(database, "w1")
    claim(database, "w2")
    assert sweeper.sweep(database) == []
    clock.time += 25
    assert sweeper.sweep(database) == []
    clock.time += 10
    assert sweeper.sweep(database) == [seq]


def test_a_sign_of_life_between_look_and_expiry_saves_the_lease(database: Database) -> None:
    seq = enqueue(database)
    job = claim(database)
    with database.read() as connection:
        lease = connection.execute(select(table.c.lease)).scalar_one()
    jobs.heartbeat(database, job, 1)
    with database.write() as connection:
        assert not jobs.expire(connection, seq, job.owner, job.attempt, lease, "stale")
    assert state(database, seq) == State.RUNNING


def test_p5_a_queued_job_is_cancelled_at_once_and_never_starts(database: Database) -> None:
    enqueue(database, subject=7)
    with database.write() as connection:
        assert jobs.request_cancel(connection, "training", 7, "ada") is State.CANCELLED
    assert jobs.claim(database, "w1", "training") is None
    with database.write() as connection:
        assert jobs.request_cancel(connection, "training", 7, "bob") is State.CANCELLED


def test_p5_a_running_job_is_told_once_who_cancelled_it(database: Database) -> None:
    seq = enqueue(database, subject=7)
    job = claim(database)
    for by in ("ada", "bob", "eve"):
        with database.write() as connection:
            assert jobs.request_cancel(connection, "training", 7, by) is State.RUNNING
    assert jobs.heartbeat(database, job, 1) == jobs.Heartbeat(True, True, "ada")
    with database.write() as connection:
        jobs.cancelled(connection, job)
    assert state(database, seq) == State.CANCELLED


def test_bad_I7_cancel_of_a_finished_or_unknown_job_changes_nothing(database: Database) -> None:
    seq = enqueue(database, subject=7)
    job = claim(database)
    with database.write() as connection:
        jobs.finish(connection, job)
        assert jobs.request_cancel(connection, "training", 7, "ada") is State.DONE
        assert jobs.request_cancel(connection, "training", 8, "ada") is None
    assert state(database, seq) == State.DONE


def test_a_cancel_outlives_the_worker_that_was_to_obey(database: Database) -> None:
    enqueue(database, subject=7)
    claim(database, "w1")
    with database.write() as connection:
        jobs.request_cancel(connection, "training", 7, "ada")
    jobs.release_owner(database, "w1")
    job = claim(database, "w2")
    assert job.cancel and job.cancelled_by == "ada"


def test_p5_cancel_and_completion_race_to_one_end(database: Database) -> None:
    for number in range(40):
        seq = enqueue(database, subject=number)
        job = claim(database)
        both = threading.Barrier(2)
        outcomes: list[str] = []

        def complete(job: Job = job, both: threading.Barrier = both, outcomes: list[str] = outcomes) -> None:
            both.wait()
            with database.write() as connection:
                jobs.finish(connection, job)
            outcomes.append("done")

        def cancel(number: int = number, both: threading.Barrier = both, outcomes: list[str] = outcomes) -> None:
            both.wait()
            with database.write() as connection:
                outcomes.append(str(jobs.request_cancel(connection, "training", number, "ada")))

        threads = [threading.Thread(target=complete), threading.Thread(target=cancel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert state(database, seq) == State.DONE and len(outcomes) == 2


def test_waiting_counts_one_users_queue(database: Database) -> None:
    enqueue(database)
    enqueue(database)
    enqueue(database, user="bob")
    claim(database)
    with database.read() as connection:
        assert jobs.waiting(connection, "ada", "training") == 1
        assert jobs.waiting(connection, "bob", "training") == 1
        assert jobs.waiting(connection, "ada", "ingest") == 0


def test_more_urgent_sees_only_higher_priority_in_the_lane(database: Database) -> None:
    enqueue(database, priority=-1)
    with database.read() as connection:
        assert not jobs.more_urgent(connection, "training", -1)
        assert jobs.more_urgent(connection, "training", -10)
        assert not jobs.more_urgent(connection, "data", -10)


def test_a_forged_owner_or_attempt_is_nobody(database: Database) -> None:
    enqueue(database)
    job = claim(database)
    assert not jobs.heartbeat(database, replace(job, owner="w9"), 1).held
    assert not jobs.heartbeat(database, replace(job, attempt=2), 1).held


def test_what_has_ended_long_ago_is_forgotten(database: Database) -> None:
    ended = [enqueue(database) for _ in range(jobs.AT_ONCE + 2)]
    kept = enqueue(database), enqueue(database, subject=7), enqueue(database)
    with database.write() as connection:
        connection.execute(update(table).where(table.c.seq.in_(ended)).values(state=State.DONE, finished_at=5.0))
        connection.execute(update(table).where(table.c.seq == kept[1]).values(state=State.FAILED, finished_at=15.0))
        # never so, but an end is told by the state
        connection.execute(update(table).where(table.c.seq == kept[2]).values(state=State.RUNNING, finished_at=5.0))
        assert jobs.forget_ended(connection, 10.0) == jobs.AT_ONCE
        assert jobs.forget_ended(connection, 10.0) == 2
        assert jobs.forget_ended(connection, 10.0) == 0
        assert list(connection.execute(select(table.c.seq).order_by(table.c.seq)).scalars()) == list(kept)


def test_those_who_follow_jobs_see_what_is_alive_and_what_they_saw_before(database: Database) -> None:
    first, second, other = enqueue(database), enqueue(database), enqueue(database, user="bob")
    with database.write() as connection:
        connection.execute(update(table).where(table.c.seq == first).values(state=State.DONE, finished_at=5.0))
        assert [job.seq for job in job_states.of_user(connection, "ada")] == [second]
        assert [job.seq for job in job_states.of_user(connection, "ada", [first, other])] == [first, second]
        jobs.forget_ended(connection, 10.0)
        assert [job.seq for job in job_states.of_user(connection, "ada", [first])] == [second]
