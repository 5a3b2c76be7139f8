"""How an engine process lives: it owns its run folder, ends with its supervisor, says why it failed."""

import argparse
import contextlib
import errno
import faulthandler
import fcntl
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from luthier.engine.devices import out_of_memory
from luthier.engine.journal import Journal
from luthier.engine.loading import TooManyInvalid
from luthier.engine.watchdog import Watchdog
from luthier.errors import DiskFull, JobConflict, LuthierError, TrainingFailed, shown
from luthier.runs.events import Failed, Stopped
from luthier.runs.run import RunFolder

LOCK_SECONDS = 10.0  # for a predecessor that is just dying
GRACE_SECONDS = 2.5  # from SIGTERM to the end, saved or not; the supervisor kills after 3

Work = Callable[[RunFolder, Journal, "StopRequest", float], None]


class StopRequest:
    """Set by SIGTERM or SIGINT. The loop looks at `requested` after each step and saves; if that takes too long, a
    timer ends the process where it last saved. A second signal ends it at once. The watchdog ends one that hangs.
    """

    def __init__(self, journal: Journal) -> None:
        self.requested = False
        self._journal = journal
        self._saved = (0, 0, "")  # step, epoch, checkpoint
        self.watchdog = Watchdog()

    def saved(self, step: int, epoch: int, checkpoint: str) -> None:
        self._saved = (step, epoch, checkpoint)

    def event(self) -> Stopped:
        return Stopped(*self._saved)

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            os._exit(128 + number)
        self.requested = True
        timer = threading.Timer(GRACE_SECONDS, self._end_now)
        timer.daemon = True
        timer.start()

    def _end_now(self) -> None:
        self._journal.event(self.event())
        os._exit(0)


def main(born: float, work: Work) -> None:
    parser = argparse.ArgumentParser(description="Train what a run folder describes, or go on with it.")
    parser.add_argument("run", type=Path, nargs="?", help="the run folder")
    parser.add_argument("--supervised", action="store_true", help="end when standard input closes; log to log.txt")
    parser.add_argument("--standby", action="store_true", help='wait, supervised, for a line {"run": FOLDER}')
    given = parser.parse_args()
    if given.standby:
        given.run, born = _stand_by(), time.monotonic()
    elif given.run is None:
        parser.error("name a run folder, or --standby")
    supervised = given.supervised or given.standby
    code = live(RunFolder(given.run), work, born, supervised=supervised)
    sys.stdout.flush()
    os._exit(code)  # threads that wait for pictures or for standard input must not hold the process up


def live(run: RunFolder, work: Work, born: float, *, supervised: bool) -> int:
    """Does `work` on a run folder as its only owner; the exit code: 0 when done or stopped, 1 when failed."""
    if not run.spec_file.exists():
        print(f"{run.path} is no run folder: it has no run.json", file=sys.stderr)
        return 1
    if supervised:
        _log_to_file(run)
        _end_with_supervisor()
    faulthandler.enable()
    try:
        with locked(run):
            return _do(run, work, born, echo=not supervised)
    except JobConflict as error:
        print(error, file=sys.stderr, flush=True)  # its owner writes the events
        return 1


def _do(run: RunFolder, work: Work, born: float, *, echo: bool) -> int:
    journal = Journal(run, echo=echo)
    stop = StopRequest(journal)
    stop.listen()
    try:
        stop.watchdog.enable(run.spec().hang_seconds)
        work(run, journal, stop, born)
        return 0
    except Exception as error:
        if not isinstance(error, LuthierError):
            journal.log(traceback.format_exc())
        journal.event(failure(error, run))
        return 1


def failure(error: Exception, run: RunFolder) -> Failed:
    """The event for an error: cause, remedy, and whether another attempt may help."""
    if isinstance(error, LuthierError):
        invalid = error.invalid if isinstance(error, TooManyInvalid) else []
        return Failed(error.code, error.description, error.details, isinstance(error, DiskFull), invalid)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failed(
            DiskFull.code, "Not enough disk space", f"{error}; free some space and start again", retryable=True
        )
    reason = (TrainingFailed.__doc__ or "").strip()
    if out_of_memory(error):
        details = f"out of memory: {error}. Give a smaller batch_size, image_size or max_tokens (model_max_length)"
        return Failed(TrainingFailed.code, reason, details, retryable=True)
    if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):  # torch's batch normalisation
        return Failed(TrainingFailed.code, reason, _nothing_to_compare(run.spec().plan))
    return Failed(TrainingFailed.code, reason, f"{type(error).__name__}: {error}; the log has the traceback")


def _nothing_to_compare(plan: dict[str, Any]) -> str:
    """For a single example whose maps have become a single place each, as torch refuses to normalise it."""
    asked = plan["batch_size"]
    found = f"batch_size is {asked}" + (f", image_size is {shown(plan['image_size'])}" if "image_size" in plan else "")
    larger = "" if asked == 1 else " and more than one input to train on"
    advice = f"give a batch_size of 2 or more{larger}, or a larger image_size"
    return f"batch normalisation has nothing to compare a single small example with: {found}; {advice}"


@contextlib.contextmanager
def locked(run: RunFolder) -> Iterator[None]:
    """Ownership of the run folder; raises JobConflict if another process keeps it."""
    with run.lock_file.open("w") as file:
        give_up_at = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up_at:
                    raise JobConflict(f"another engine works in {run.path}; wait for it or stop it") from None
                time.sleep(0.05)
        yield


def _stand_by() -> Path:
    """Loads the libraries, then waits for a run; ends quietly when the supervisor goes first."""
    for name in ("timm", "luthier.engine.recipes.image_classification"):
        importlib.import_module(name)
    torch.nn.functional.conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(4, 3, 3, 3))  # starts the library's own threads
    line = _read_line()
    if not line.strip():
        os._exit(0)
    return Path(json.loads(line)["run"])


def _read_line() -> bytes:
    """Byte by byte from standard input, so that nothing is left in a buffer when the watching thread takes over."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return line


def _log_to_file(run: RunFolder) -> None:
    log = os.open(run.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _end_with_supervisor() -> None:
    """The supervisor holds the other end of standard input: when it dies, so does this process."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
