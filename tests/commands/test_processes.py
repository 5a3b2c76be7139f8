"""Processes that are kept alive, restarted and ended in good order."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from luthier.commands import processes
from luthier.commands.processes import Child, Supervisor


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """`program(text)` makes `python -m luthier` mean that text; gives the environment to start it with."""

    def write(text: str) -> dict[str, str]:
        (tmp_path / "luthier").mkdir(exist_ok=True)
        (tmp_path / "luthier" / "__init__.py").touch()
        (tmp_path / "luthier" / "__main__.py").write_text(textwrap.dedent(text))
        return {**os.environ, "PYTHONPATH": str(tmp_path)}

    return write


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervise(said: list[str]) -> Iterator[Callable[[Supervisor], None]]:
    running: list[tuple[Supervisor, threading.Thread]] = []

    def start(supervisor: Supervisor) -> None:
        supervisor.start()
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        running.append((supervisor, thread))

    yield start
    for supervisor, thread in running:
        supervisor.request_stop()
        thread.join()
        supervisor.stop()


READY_AND_WAIT = """
    import os, sys, time
    os.write(int(sys.argv[sys.argv.index("--ready-fd") + 1]), b"+")
    time.sleep(60)
"""


def until(done: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_killed_child_is_started_again_and_its_death_reported(
    program: Callable[[str], dict[str, str]], said: list[str], supervise: Callable[[Supervisor], None]
) -> None:
    deaths: list[int] = []
    child = Child("the worker", lambda start: ["worker", str(start)], 5, deaths.append)
    supervisor = Supervisor([child], program(READY_AND_WAIT), said.append)
    supervise(supervisor)
    until(lambda: child.process is not None)
    assert child.process is not None
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: child.starts == 2 and child.process is not None)
    assert child.process.pid != first
    assert deaths == [1]
    assert "the worker ended (killed by SIGKILL)" in said[0]


def test_trouble_over_one_death_does_not_end_the_supervisor(
    program: Callable[[str], dict[str, str]], said: list[str], supervise: Callable[[Supervisor], None]
) -> None:
    def locked(start: int) -> None:
        raise RuntimeError("database is locked")

    child = Child("the worker", lambda start: [], 5, locked)
    supervise(Supervisor([child], program("raise SystemExit(3)"), said.append))
    until(lambda: child.starts >= 3)
    assert "after the death of the worker: RuntimeError: database is locked" in said


def test_ready_is_seen_and_a_child_that_dies_first_is_not_ready(
    program: Callable[[str], dict[str, str]], said: list[str]
) -> None:
    child = Child("the API", lambda start: ["api"], 5)
    supervisor = Supervisor([child], program(READY_AND_WAIT), said.append)
    supervisor.start()
    assert supervisor.wait_ready(child, 10)
    supervisor.stop()
    assert not child.alive

    child = Child("the API", lambda start: ["api"], 5)
    supervisor = Supervisor([child], program("raise SystemExit(3)"), said.append)
    supervisor.start()
    assert not supervisor.wait_ready(child, 10)
    supervisor.stop()


def test_pauses_grow_with_each_early_death(
    program: Callable[[str], dict[str, str]], supervise: Callable[[Supervisor], None], said: list[str]
) -> None:
    child = Child("the worker", lambda start: [], 5)
    supervise(Supervisor([child], program("raise SystemExit(3)"), said.append))
    until(lambda: len(said) >= 3)
    pauses = [float(text.split(" in ")[1].split()[0]) for text in said[:3]]
    assert pauses == [0.2, 0.4, 0.8]
    assert "exit status 3" in said[0]


def test_stop_asks_first_and_kills_what_does_not_end(program: Callable[[str], dict[str, str]], said: list[str]) -> None:
    deaf = """
        import os, signal, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(int(sys.argv[sys.argv.index("--ready-fd") + 1]), b"+")
        time.sleep(60)
    """
    child = Child("the worker", lambda start: [], 0.5)
    supervisor = Supervisor([child], program(deaf), said.append)
    supervisor.start()
    assert supervisor.wait_ready(child, 10)
    begun = time.monotonic()
    supervisor.stop()
    assert 0.4 < time.monotonic() - begun < 5
    assert "did not end in good order" in said[0]


def test_a_second_request_ends_at_once(program: Callable[[str], dict[str, str]], said: list[str]) -> None:
    deaf = READY_AND_WAIT.replace(
        "import os, sys, time", "import os, sys, time, signal; signal.signal(15, signal.SIG_IGN)"
    )
    child = Child("the worker", lambda start: [], 60)
    supervisor = Supervisor([child], program(deaf), said.append)
    supervisor.start()
    assert supervisor.wait_ready(child, 10)
    supervisor.request_stop()
    supervisor.request_stop()
    begun = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - begun < 2


def test_a_child_ends_when_its_parent_is_killed(program: Callable[[str], dict[str, str]], tmp_path: Path) -> None:
    """The lifeline: its stdin closes with the parent."""
    environment = {**os.environ, "MARK": str(tmp_path / "ended")}
    child = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from luthier.commands import lifeline\n"
        "signal.signal(signal.SIGTERM, lambda *_: (Path(os.environ['MARK']).touch(), sys.exit(0)))\n"
        "lifeline.hold()\n"
        "time.sleep(60)\n"
    )
    start = f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE)"
    parent = f"import subprocess, sys, time; {start}; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", parent], env=environment)
    time.sleep(1.5)
    process.kill()
    process.wait()
    until(lambda: (tmp_path / "ended").exists())


def test_pause_is_forgiven_after_a_long_life(
    monkeypatch: pytest.MonkeyPatch, program: Callable[[str], dict[str, str]]
) -> None:
    monkeypatch.setattr(processes, "STEADY_SECONDS", 0.0)
    child = Child("the worker", lambda start: [], 5)
    environment = program("raise SystemExit(0)")
    for _ in range(3):
        child.start(environment)
        assert child.process is not None
        child.process.wait()
        assert child.died(time.monotonic()) == 0
    assert child.pause == 2 * processes.FIRST_PAUSE
