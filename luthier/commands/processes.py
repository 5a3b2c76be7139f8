"""The processes that serve starts: kept alive, restarted with growing pauses, ended in good order. Next: `serve`."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

PROGRAM = (sys.executable, "-P", "-m", "luthier")  # -P: a folder called luthier where we stand is not the package
FIRST_PAUSE = 0.2  # seconds before a dead process is started again; doubles with each early death
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0  # a process that lived so long has earned the first pause again


@dataclass
class Child:
    """One process. `arguments(n)` makes the n-th start's command line after `luthier`; `drain` is its time to end."""

    name: str
    arguments: Callable[[int], list[str]]
    drain_seconds: float
    on_death: Callable[[int], None] = lambda start: None  # called with the number of the start that died
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    started_at: float = 0.0
    pause: float = FIRST_PAUSE
    start_at: float = 0.0
    ready: int | None = field(default=None)  # read end of its ready pipe

    def start(self, environment: Mapping[str, str]) -> None:
        read_end, write_end = os.pipe()
        os.set_inheritable(write_end, True)
        self.starts += 1
        self.process = subprocess.Popen(
            [
                *PROGRAM,
                *self.arguments(self.starts),
                "--supervised",
                "--ready-fd",
                str(write_end),
            ],
            stdin=subprocess.PIPE,
            env=dict(environment),
            pass_fds=(write_end,),
            start_new_session=True,  # Ctrl-C reaches serve alone, which then ends its processes in order
        )
        os.close(write_end)
        self._close_ready()
        self.ready, self.started_at = read_end, time.monotonic()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, seconds: float) -> bool:
        """False where the process ended, or the time was over, before it was ready."""
        if self.ready is None:
            return False
        readable = select.select([self.ready], [], [], seconds)[0]
        return bool(readable) and os.read(self.ready, 1) == b"+"

    def died(self, now: float) -> int | None:
        """The exit status of a process that has ended since the last look, once; plans the next start."""
        if self.process is None or self.process.poll() is None:
            return None
        status = self.process.returncode
        self._forget()
        if now - self.started_at > STEADY_SECONDS:
            self.pause = FIRST_PAUSE
        self.start_at, self.pause = now + self.pause, min(self.pause * 2, LONGEST_PAUSE)
        return status

    def terminate(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)

    def wait_gone(self, seconds: float) -> bool:
        if self.process is None:
            return True
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None

    def kill(self) -> None:
        """Ends whatever is left of its process group."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._forget()

    def _forget(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()
        self.process = None
        self._close_ready()

    def _close_ready(self) -> None:
        if self.ready is not None:
            os.close(self.ready)
            self.ready = None


class Supervisor:
    """Keeps its children alive until it is told to stop. Single-threaded: `run` looks every tenth of a second."""

    def __init__(self, children: Sequence[Child], environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._children = children
        self._environment = environment
        self._say = say
        self._stops = 0

    def request_stop(self, *_signal: object) -> None:
        """Once: end in good order. Twice: at once."""
        self._stops += 1

    @property
    def stopping(self) -> bool:
        return self._stops > 0

    def start(self) -> None:
        for child in self._children:
            child.start(self._environment)

    def wait_ready(self, child: Child, seconds: float) -> bool:
        """True when the child is ready; False where it died first, the time is over or a stop was asked for."""
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            if child.wait_ready(0.1):
                return True
            if not child.alive:
                return False
            time.sleep(0.02)
        return False

    def run(self) -> None:
        while not self.stopping:
            self._look()
            time.sleep(0.1)

    def _look(self) -> None:
        now = time.monotonic()
        for child in self._children:
            status = child.died(now)
            if status is not None:
                pause = child.start_at - now
                self._say(f"{child.name} ended ({_why(status)}); it is started again in {pause:.1f} s")
                self._bury(child)
            if child.process is None and now >= child.start_at:
                child.start(self._environment)

    def _bury(self, child: Child) -> None:
        """What is to be done about a death. Where that fails, the others must still be looked after."""
        try:
            child.on_death(child.starts)
        except Exception as error:
            self._say(f"after the death of {child.name}: {type(error).__name__}: {error}")

    def stop(self) -> None:
        """Asks all children to end, in order of the list; kills what does not, or at once on a second request."""
        for child in self._children:
            child.terminate()
        for child in self._children:
            end = time.monotonic() + child.drain_seconds
            while not child.wait_gone(0.1) and time.monotonic() < end and self._stops < 2:
                pass
            if child.alive:
                self._say(f"{child.name} did not end in good order and is killed")
            child.kill()


def _why(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
