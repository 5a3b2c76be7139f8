"""Workers as processes of their own: killed, drained, two at one queue."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select, text

from luthier.store.tables import jobs as jobs_table
from luthier.worker.loop import worker_name
from tests.runs.test_launch import alive
from tests.worker.conftest import ROOT, play
from tests.worker.world import World

Spawn = Callable[[str], "subprocess.Popen[bytes]"]
QUICK: list[list[object]] = [["started"], ["step", 5], ["save"], ["sleep", 0.1], ["finish"]]
SLOW: list[list[object]] = [["started"], ["step", 5], ["save"], ["sleep", 600]]


@pytest.fixture
def spawn(world: World) -> Iterator[Spawn]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> "subprocess.Popen[bytes]":
        given = [str(world.settings.data_dir), name, world.settings.database_url]
        command = [sys.executable, "-m", "tests.worker.worker_process", *given]
        processes.append(subprocess.Popen(command, cwd=ROOT))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def pids(world: World, seq: int) -> list[int]:
    file = world.settings.runs_folder / world.version(seq).id / "attempts"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def job(world: World, seq: int) -> dict[str, object]:
    with world.database.read() as connection:
        found = select(jobs_table).where(jobs_table.c.kind == "training", jobs_table.c.subject == seq)
        return dict(connection.execute(found).mappings().one())


@pytest.mark.long
def test_p2_a_killed_worker_takes_its_trainer_with_it_and_another_goes_on(labelled: World, spawn: Spawn) -> None:
    play(labelled, SLOW, QUICK)
    seq = labelled.train()
    first = spawn("first")
    labelled.until(lambda: labelled.version(seq).percent == 50)
    (pid,) = pids(labelled, seq)
    spawn("second")
    first.kill()
    labelled.until(lambda: not alive(pid), 10)
    version = labelled.ended(seq, 45)  # a lease of 3 s and a sweep of 0.5 s
    assert version.status == 21100 and len(pids(labelled, seq)) == 2
    assert job(labelled, seq)["owner"] == "second"


def test_p3_two_workers_share_a_queue_and_run_nothing_twice(labelled: World, spawn: Spawn) -> None:
    play(labelled, QUICK)
    seqs = [labelled.train() for _ in range(12)]
    spawn("first")
    spawn("second")
    for seq in seqs:
        assert labelled.ended(seq).status == 21100
        assert len(pids(labelled, seq)) == 1 and job(labelled, seq)["attempt"] == 1
    assert {job(labelled, seq)["owner"] for seq in seqs} == {"first", "second"}


def test_p3_killed_workers_publish_nothing_twice_and_nothing_is_lost(labelled: World, spawn: Spawn) -> None:
    play(labelled, QUICK)
    seqs = [labelled.train() for _ in range(8)]
    draw = random.Random(3)
    current = spawn("w0")
    spawn("steady")
    for number in range(1, 4):
        labelled.until(lambda: any(labelled.version(seq).status == 21101 for seq in seqs), 20)
        time.sleep(draw.uniform(0.2, 1.2))
        current.kill()
        current.wait()
        current = spawn(f"w{number}")
    for seq in seqs:
        version = labelled.ended(seq)
        assert version.status == 21100 and version.results["metrics"]
    if labelled.database.local:
        with labelled.database.read() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    assert {job(labelled, seq)["state"] for seq in seqs} == {"done"}


def test_p6_sigterm_drains_and_the_next_worker_goes_on(labelled: World, spawn: Spawn) -> None:
    play(labelled, SLOW, QUICK)
    seq = labelled.train()
    process = spawn("first")
    labelled.until(lambda: labelled.version(seq).percent == 50)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert time.monotonic() - began < 10
    assert labelled.version(seq).status == 21103
    spawn("second")
    assert labelled.ended(seq).status == 21100


def test_p6_a_second_sigterm_ends_it_at_once(labelled: World, spawn: Spawn) -> None:
    play(labelled, [["deaf"], *SLOW])
    seq = labelled.train()
    process = spawn("first")
    labelled.until(lambda: labelled.version(seq).percent == 50)
    (pid,) = pids(labelled, seq)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert alive(pid)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert time.monotonic() - began < 5
    labelled.until(lambda: not alive(pid), 2)


@pytest.mark.long
def test_p3_a_stalled_worker_is_fenced_when_it_wakes(labelled: World, spawn: Spawn) -> None:
    play(labelled, SLOW, QUICK)
    seq = labelled.train()
    stalled = spawn("stalled")
    labelled.until(lambda: labelled.version(seq).percent == 50)
    (pid,) = pids(labelled, seq)
    os.kill(stalled.pid, signal.SIGSTOP)
    spawn("other")
    version = labelled.ended(seq)
    assert version.status == 21100 and not alive(pid)  # who took over ended the engine that was still fed
    os.kill(stalled.pid, signal.SIGCONT)
    time.sleep(1.5)
    after = labelled.version(seq)
    assert (after.status, after.results, after.details) == (version.status, version.results, version.details)
    assert job(labelled, seq)["state"] == "done"
    assert stalled.poll() is None  # it works on


@pytest.mark.long
def test_p17_killed_around_publication_a_version_is_whole_or_not_there(labelled: World, spawn: Spawn) -> None:
    play(labelled, [["started"], ["step", 5], ["finish"]])
    for number in range(6):
        seq = labelled.train()
        process = spawn(f"w{number}")
        run = labelled.settings.runs_folder / labelled.version(seq).id
        labelled.until(lambda run=run: (run / "report.json").exists())
        time.sleep(0.04 * number)
        process.kill()
        process.wait()
        version = labelled.version(seq)
        if version.status == 21100:
            assert version.results["metrics"] and version.checkpoint and job(labelled, seq)["state"] == "done"
        else:
            assert (version.status, version.results, version.completed_at) == (21101, {}, None)
            assert job(labelled, seq)["state"] == "running"
    spawn("last")
    with labelled.database.read() as connection:
        seqs = list(connection.execute(select(jobs_table.c.subject).where(jobs_table.c.kind == "training")).scalars())
    for seq in seqs:
        assert labelled.ended(seq).status == 21100


def test_a_workers_name_holds_host_and_process() -> None:
    assert worker_name() == f"{socket.gethostname()[:40]}:{os.getpid()}"
    assert worker_name(7).endswith(":7")
