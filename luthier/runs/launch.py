"""Starts the engine on a run folder, follows its events, stops it. Next: `engine/train`, the other side of the border.

An engine never outlives whoever started it: its standard input is a pipe that closes when the starter dies, and on
Linux the kernel kills it too (PR_SET_PDEATHSIG). Its process group is its own, so one signal ends its helpers as well.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from luthier.runs.events import Event, event_from_line
from luthier.runs.run import RunFolder

ENGINE = "luthier.engine.train"
POLL_SECONDS = 0.05
PID_FILE = "engine.pid"  # in the run folder
_UNKNOWN = "-"
# What an engine may see of our environment: where programs and libraries are, threads and accelerators. Never a token.
_PASSED = ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT", "NUMEXPR_MAX_THREADS")
_PASSED_PREFIXES = (
    "LC_",
    "OMP_",
    "MKL_",
    "KMP_",
    "GOMP_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "ROCR_",
    "HIP_",
    "TORCH_",
    "PYTORCH_",
)

# Runs between fork and exec of the engine, in a process of its own: code in a forked copy of a threaded parent may
# dead-lock. 1 is PR_SET_PDEATHSIG. When memory runs out, the engine is to be killed and not the database beside it.
_EXEC = """
import os, sys
parent, program = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("600")
    except OSError:
        pass
if os.getppid() != parent:
    sys.exit(1)
os.execv(program[0], program)
"""


class EngineProcess:
    """An engine at work on one run. `events()` and `stop()` may be called from different threads."""

    def __init__(self, process: "subprocess.Popen[bytes]", run: RunFolder, events_from: int) -> None:
        self.run = run
        self._process = process
        self._events_from = events_from
        self._stopping = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that killed it."""
        return self._process.poll()

    def events(self) -> Iterator[Event]:
        """Each event as it is written, from the start of this process to its end. Lines cut off are left out."""
        position, rest = self._events_from, b""
        while True:
            ended = self._process.poll() is not None  # before reading: nothing is written after the end
            chunk = _read_from(self.run.events_file, position)
            position += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from _events(lines)
            if ended and not chunk:
                self._bury()
                return
            if not chunk:
                time.sleep(POLL_SECONDS)

    def stop(self, grace_seconds: float = 3.0) -> int:
        """SIGTERM, so that it saves where it stands; after the grace time SIGKILL to the group. Returns the code."""
        with self._stopping:
            if grace_seconds > 0 and self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(grace_seconds)
            return self._bury()

    def kill(self) -> int:
        """SIGKILL to the whole group at once, whatever another thread's `stop` is waiting for."""
        return self._bury()

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end; raises subprocess.TimeoutExpired."""
        code = self._process.wait(timeout)
        self._bury()
        return code

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that it printed."""
        try:
            size = self.run.log_file.stat().st_size
        except FileNotFoundError:
            return ""
        text = _read_from(self.run.log_file, max(0, size - 64 * 1024)).decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def _bury(self) -> int:
        """Ends what is left of the group and closes the pipe."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        return code


def start(run: RunFolder, module: str = ENGINE) -> EngineProcess:
    """A fresh engine process on a prepared run folder; what it prints goes to log.txt."""
    position = _events_end(run)
    with run.log_file.open("ab") as log:
        process = _spawn(module, [str(run.path.absolute()), "--supervised"], log)
    _remember(process, run)
    return EngineProcess(process, run, position)


def end_predecessor(run: RunFolder) -> bool:
    """Kills the engine that was last started on this run, if it still lives on this machine; True where it did.

    For whoever has taken the run over: a worker that was only stopped, not killed, still feeds its engine.
    """
    try:
        pid, born = (run.path / PID_FILE).read_text().split()
    except (OSError, ValueError):
        return False
    if _born(int(pid)) != born or born == _UNKNOWN:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(int(pid), signal.SIGKILL)
    return True


class Standby:
    """Keeps one engine process with its libraries imported, so that a training starts within a second, not after five.

    `warm()` starts it where there is none; `start(run)` hands it the folder. One that died meanwhile is replaced by a
    cold start.
    """

    def __init__(self, module: str = ENGINE) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._idle: subprocess.Popen[bytes] | None = None

    def warm(self) -> None:
        with self._lock:
            if self._idle is None or self._idle.poll() is not None:
                self._idle = _spawn(self._module, ["--standby"], subprocess.DEVNULL)

    def start(self, run: RunFolder) -> EngineProcess:
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None:
            position = _events_end(run)
            if _handed(idle, run):
                _remember(idle, run)
                return EngineProcess(idle, run, position)
            EngineProcess(idle, run, 0).kill()
        return start(run, self._module)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None:
            EngineProcess(idle, RunFolder(Path()), 0).kill()


def _handed(idle: "subprocess.Popen[bytes]", run: RunFolder) -> bool:
    if idle.poll() is not None or idle.stdin is None:
        return False
    try:
        idle.stdin.write(json.dumps({"run": str(run.path.absolute())}).encode() + b"\n")
        idle.stdin.flush()
    except OSError:
        return False
    return True


def _remember(process: "subprocess.Popen[bytes]", run: RunFolder) -> None:
    (run.path / PID_FILE).write_text(f"{process.pid} {_born(process.pid)}", encoding="utf-8")


def _born(pid: int) -> str:
    """When a process began, in ticks since the machine did: a number that is used again has another."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return _UNKNOWN


def environment() -> dict[str, str]:
    """What an engine process sees of ours."""
    passed = {k: v for k, v in os.environ.items() if k in _PASSED or k.startswith(_PASSED_PREFIXES)}
    root = Path(__file__).parents[2]
    places = passed.pop("PYTHONPATH", "").split(os.pathsep)
    if "site-packages" not in root.parts:  # a source checkout
        places.insert(0, str(root))
    if places := [place for place in places if place]:  # an empty one would be the working directory
        passed["PYTHONPATH"] = os.pathsep.join(places)
    return {**passed, "PYTHONUNBUFFERED": "1"}


# PR_SET_PDEATHSIG means the death of the thread that forked, so one thread that lives as long as we do forks for all.
_forker = ThreadPoolExecutor(1, thread_name_prefix="forker")


def _spawn(module: str, arguments: Sequence[str], output: int | IO[bytes]) -> "subprocess.Popen[bytes]":
    # -P: a file called json.py in the working directory is not the library json
    program = [sys.executable, "-P", "-m", module, *arguments]
    command = [sys.executable, "-I", "-S", "-c", _EXEC, str(os.getpid()), *program]
    return _forker.submit(
        subprocess.Popen,
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment(),
        start_new_session=True,
    ).result()


def _events_end(run: RunFolder) -> int:
    """Where new events will begin. A line that a killed predecessor left unfinished is ended here."""
    try:
        size = run.events_file.stat().st_size
    except FileNotFoundError:
        return 0
    if size and _read_from(run.events_file, size - 1) != b"\n":
        with run.events_file.open("ab") as file:
            file.write(b"\n")
        return size + 1
    return size


def _events(lines: Sequence[bytes]) -> Iterator[Event]:
    for line in lines:
        if line.strip():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # cut off by a kill; a newer engine's kind
                yield event_from_line(line.decode("utf-8"))


def _read_from(file: Path, position: int) -> bytes:
    try:
        with file.open("rb") as stream:
            stream.seek(position)
            return stream.read(1 << 20)
    except FileNotFoundError:
        return b""
