"""Full decodes in helper processes, so that a picture that eats memory, hangs or crashes a decoder harms nobody else.

`DecodeProcess` is one helper; `DecodePool` runs several for many files. Next: `decode_helper`, the other side.
"""

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Self

from luthier.errors import ImageDecodeError

START_SECONDS = 30.0  # what the first answer may take longer, for a helper that is just starting
WINDOW = 32  # files that are sent ahead of their answers
PIPE_BYTES = 16 * 1024  # of unread questions; the smallest pipe that a system has holds more and one long path
CHUNK = 64  # files that one thread takes at a time


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """`code` is the wire's status code of what is wrong (47104, 30101, 30300), 0 for a good picture.

    `width` and `height` are of the upright picture; `sha256` is of the bytes that were read, "" where none were.
    `runs` are a mask's, as the manifest has them, where it was asked for as one.
    """

    ok: bool
    code: int = 0
    details: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    animated: bool = False
    sha256: str = ""
    runs: list[int] = field(default_factory=list)


class DecodeProcess:
    """One helper process, started when first needed and again whenever it dies. Safe to share between threads."""

    def __init__(self, memory_mb: int = 1536, seconds: float = 5.0) -> None:
        self._memory_mb = memory_mb
        self._seconds = seconds
        self._lock = threading.Lock()
        self._helper: _Helper | None = None
        self.deaths = 0  # helpers that crashed, were killed, or were ended because they took too long

    def check(self, path: Path) -> DecodeResult:
        """Decodes the file in full; a bad file is a result, never an exception."""
        return self.check_many([path])[0]

    def check_many(self, paths: Sequence[Path]) -> list[DecodeResult]:
        """The same for many files, in order; files are sent ahead, so that small ones cost no round trip each."""
        return self._ask(paths, mask=False)

    def masks(self, paths: Sequence[Path]) -> list[DecodeResult]:
        """The same for masks, with their runs."""
        return self._ask(paths, mask=True)

    def _ask(self, paths: Sequence[Path], mask: bool) -> list[DecodeResult]:
        results: list[DecodeResult] = []
        suspect = -1  # a file over which a helper died; it may have been killed for no fault of the file's
        with self._lock:
            while len(results) < len(paths):
                helper = self._ready()
                results += helper.answers(paths[len(results) :], mask, self._seconds)
                if len(results) == len(paths):
                    break
                crash = self._ended(helper)
                if crash and suspect != len(results):
                    suspect = len(results)
                    continue
                reason = crash or f"decoding took longer than {self._seconds:g} s"
                results.append(DecodeResult(False, ImageDecodeError.code, reason))
        return results

    def close(self) -> None:
        with self._lock:
            if self._helper:
                self._helper.close()
                self._helper = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ready(self) -> "_Helper":
        if self._helper is None:
            self._helper = _Helper(self._memory_mb)
        return self._helper

    def _ended(self, helper: "_Helper") -> str:
        """How the helper that gave no answer died; "" where it is alive and silent. Either way it is gone then."""
        crash = helper.end()
        self._helper = None
        self.deaths += 1
        return crash


class _Helper:
    """A running decode_helper and the pipe to it."""

    def __init__(self, memory_mb: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "luthier.data.decode_helper", "--memory-mb", str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries write what they think of a broken file; the answer says it better
            env=_environment(),
            start_new_session=True,
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(_pipe(self._process.stdout), selectors.EVENT_READ)
        self._received = b""
        self._fresh = True

    def answers(self, paths: Sequence[Path], mask: bool, seconds: float) -> list[DecodeResult]:
        """Answers in order; fewer than `paths` where the helper died or took longer than `seconds` over the next."""
        results: list[DecodeResult] = []
        waiting = iter(paths)
        unanswered: deque[int] = deque()  # lengths of the lines in the pipe
        self._send(waiting, mask, unanswered)
        while len(results) < len(paths):
            line = self._line(time.monotonic() + seconds + (START_SECONDS if self._fresh else 0))
            if line is None:
                break
            self._fresh = False
            results.append(DecodeResult(**json.loads(line)))
            unanswered.popleft()
            if len(unanswered) <= WINDOW // 2:
                self._send(waiting, mask, unanswered)
        return results

    def _send(self, paths: Iterator[Path], mask: bool, unanswered: deque[int]) -> None:
        """Sends on until WINDOW files are on their way. A pipe is never filled: writing to it would block."""
        lines = []
        while len(unanswered) < WINDOW and sum(unanswered) < PIPE_BYTES and (path := next(paths, None)):
            lines.append(json.dumps({"path": str(path), "mask": mask}).encode() + b"\n")
            unanswered.append(len(lines[-1]))
        if lines:
            with suppress(BrokenPipeError):  # it died; the missing answer tells
                _pipe(self._process.stdin).write(b"".join(lines))
                _pipe(self._process.stdin).flush()

    def _line(self, deadline: float) -> bytes | None:
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                return None
            received = os.read(_pipe(self._process.stdout).fileno(), 1 << 16)
            if not received:
                return None
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line

    def end(self) -> str:
        """Ends a helper that gave no answer; how it died, "" if it had not."""
        crash = ""
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(0.2)
            cause = f"signal {-code}" if code < 0 else f"exit code {code}"
            crash = f"the decoder crashed over this file ({cause})"
        self.close()
        return crash

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # cannot be: both are asked for
        raise RuntimeError("no pipe to the decode helper")
    return pipe


def _environment() -> dict[str, str]:
    """What the helper needs to start, nothing of what the parent knows. More threads would only be address space."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    package = str(Path(__file__).resolve().parents[2])
    return {**kept, "PYTHONPATH": package, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class DecodePool:
    """As many helpers as there are cores (or `processes`), for checking whole folders."""

    def __init__(self, memory_mb: int = 1536, seconds: float = 5.0, processes: int = 0) -> None:
        self._helpers = [DecodeProcess(memory_mb, seconds) for _ in range(processes or os.cpu_count() or 1)]
        self._free: SimpleQueue[DecodeProcess] = SimpleQueue()
        for helper in self._helpers:
            self._free.put(helper)
        self._threads = ThreadPoolExecutor(len(self._helpers), "decode")

    def check_many(self, paths: Sequence[Path]) -> Iterator[DecodeResult]:
        """Results in the order of `paths`, as they come."""
        chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
        for results in self._threads.map(self._chunk, chunks):
            yield from results

    def _chunk(self, paths: Sequence[Path]) -> list[DecodeResult]:
        helper = self._free.get()
        try:
            return helper.check_many(paths)
        finally:
            self._free.put(helper)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for helper in self._helpers:
            helper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
