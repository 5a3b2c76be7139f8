"""Engines start, tell, stop, and never outlive whoever started them. No torch here: tests/runs/fake_engine plays."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from luthier.runs import launch
from luthier.runs.events import Finished, Started, StepDone, Stopped
from luthier.runs.run import RunFolder
from tests.runs.conftest import ROOT

FAKE = "tests.runs.fake_engine"
Playing = Callable[..., RunFolder]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or ") Z" not in state.read_text()


def until(good: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.02)


def test_events_arrive_in_order_and_what_is_printed_is_in_the_log(playing: Playing) -> None:
    run = playing([["started"], ["print", "hello"], ["step", 3], ["finish"]])
    engine = launch.start(run, FAKE)
    kinds = [type(event) for event in engine.events()]
    assert kinds == [Started, StepDone, Finished]
    assert engine.returncode == 0
    assert "hello" in engine.log_tail()


def test_events_of_an_earlier_attempt_are_not_told_again_and_a_cut_line_spoils_nothing(playing: Playing) -> None:
    run = playing([["step", 1], ["raw", '{"event": "StepDo'], ["kill"]], [["step", 2], ["finish"]])
    first = launch.start(run, FAKE)
    assert [type(event) for event in first.events()] == [StepDone]
    assert first.returncode == -signal.SIGKILL
    second = list(launch.start(run, FAKE).events())
    assert [type(event) for event in second] == [StepDone, Finished]
    assert isinstance(second[0], StepDone) and second[0].step == 2


def test_an_unknown_event_is_passed_over(playing: Playing) -> None:
    run = playing([["raw", '{"event": "OfTheFuture", "x": 1}\n'], ["step", 1]])
    assert [type(event) for event in launch.start(run, FAKE).events()] == [StepDone]


def test_stop_lets_the_engine_save(playing: Playing) -> None:
    engine = launch.start(playing([["started"], ["sleep", 600]]), FAKE)
    events = engine.events()
    assert isinstance(next(events), Started)
    threading.Timer(0.1, engine.stop).start()
    assert [type(event) for event in events] == [Stopped]
    assert engine.returncode == 0


def test_an_engine_that_ignores_sigterm_is_dead_within_five_seconds_and_its_children_too(playing: Playing) -> None:
    run = playing([["deaf"], ["child"], ["started"], ["sleep", 600]])
    engine = launch.start(run, FAKE)
    next(engine.events())
    child = int((run.path / "child").read_text())
    began = time.monotonic()
    assert engine.stop(grace_seconds=1) == -signal.SIGKILL
    assert time.monotonic() - began < 5
    until(lambda: not alive(child), 2)


def test_children_of_an_engine_that_crashed_are_ended(playing: Playing) -> None:
    run = playing([["child"], ["kill"]])
    assert list(launch.start(run, FAKE).events()) == []
    until(lambda: not alive(int((run.path / "child").read_text())), 2)


def test_the_engine_sees_no_setting_and_no_token(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LUTHIER_DATA_DIR", "CLARIFAI_PAT", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    run = playing([["environment"]])
    list(launch.start(run, FAKE).events())
    seen = json.loads((run.path / "environment.json").read_text())
    assert "secret" not in seen.values()
    assert "PATH" in seen


@pytest.mark.parametrize("how", ["cold", "standby"])
def test_p2_the_engine_ends_when_its_starter_is_killed(playing: Playing, how: str) -> None:
    run = playing([["deaf"], ["started"], ["sleep", 600]])
    code = f"""
        import time
        from pathlib import Path
        from luthier.runs import launch
        from luthier.runs.run import RunFolder
        if __name__ == "__main__":
            standby = launch.Standby({FAKE!r})
            if {how!r} == "standby":
                standby.warm()
            engine = standby.start(RunFolder(Path({str(run.path)!r})))
            print(engine.pid, flush=True)
            time.sleep(600)
    """
    starter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    until(lambda: run.events_file.exists())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    until(lambda: not alive(pid), 10)


def test_an_engine_outlives_the_thread_that_started_it(playing: Playing) -> None:
    run = playing([["started"], ["sleep", 0.5], ["finish"]])
    engines: list[launch.EngineProcess] = []
    thread = threading.Thread(target=lambda: engines.append(launch.start(run, FAKE)))
    thread.start()
    thread.join()
    assert isinstance(list(engines[0].events())[-1], Finished)


def test_standby_hands_over_and_falls_back_to_a_cold_start(playing: Playing) -> None:
    run = playing([["finish"]])
    standby = launch.Standby(FAKE)
    standby.warm()
    assert isinstance(list(standby.start(run).events())[-1], Finished)
    assert (run.path / "warm").exists()
    (run.path / "warm").unlink()
    standby.warm()
    idle = standby._idle
    assert idle is not None
    idle.kill()
    idle.wait()
    assert isinstance(list(standby.start(run).events())[-1], Finished)
    assert not (run.path / "warm").exists()
    standby.warm()
    idle = standby._idle
    standby.close()
    assert idle is not None and idle.returncode is not None


def test_a_file_in_the_working_directory_is_not_taken_for_a_library(
    playing: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = playing([["finish"]])
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    assert isinstance(list(launch.start(run, FAKE).events())[-1], Finished)


def test_who_takes_a_run_over_ends_the_engine_of_a_starter_that_was_only_stopped(playing: Playing) -> None:
    run = playing([["deaf"], ["started"], ["sleep", 600]])
    engine = launch.start(run, FAKE)
    next(engine.events())
    assert launch.end_predecessor(run)
    assert engine.wait(5) == -signal.SIGKILL
    assert not launch.end_predecessor(run)
