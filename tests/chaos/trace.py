"""What strace wrote of a process, as system calls with a moment in which each began and one in which it ended."""

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

CALLS = "openat,write,writev,sendto,sendmsg,recvfrom,recvmsg,fsync,fdatasync,rename,renameat,renameat2"
SHOWN_BYTES = 200

_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)(.*)")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*?) *<unfinished \.\.\.>")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)(.*)")


@dataclass(frozen=True)
class Call:
    """`began` and `ended` are line numbers of the trace: what ended on an earlier line was over before this began."""

    name: str
    arguments: str
    result: int
    began: int
    ended: int


def command(file: Path) -> list[str]:
    """strace before the command that it runs: all its threads, file names in the place of descriptors.

    It works beside the command (-D), so that the process that a test starts, and signals, is the command itself.
    """
    program = shutil.which("strace")
    assert program, "the program strace is missing: `make system-packages` installs it"
    options = ["-D", "-f", "-yy", "-e", "signal=none", "-s", str(SHOWN_BYTES), "-e", f"trace={CALLS}", "-o", str(file)]
    return [program, *options]


def calls(file: Path, process: int) -> list[Call]:
    """The calls that succeeded, in the order in which they ended; waits until strace has seen `process` end."""
    end = re.compile(rf"^{process} +\+\+\+ (exited|killed)", re.MULTILINE)
    deadline = time.monotonic() + 30
    while not end.search(file.read_text(errors="replace")):
        assert time.monotonic() < deadline, "strace has not seen the process end"
        time.sleep(0.1)
    begun: dict[str, tuple[int, str]] = {}
    found = []
    for number, line in enumerate(file.read_text(errors="replace").splitlines()):
        if whole := _WHOLE.fullmatch(line):
            _, name, arguments, result, _ = whole.groups()
            found.append(Call(name, arguments, int(result), number, number))
        elif start := _BEGUN.fullmatch(line):
            thread, _, arguments = start.groups()
            begun[thread] = number, arguments
        elif resumed := _ENDED.fullmatch(line):
            thread, name, arguments, result, _ = resumed.groups()
            at, first = begun.pop(thread)
            found.append(Call(name, first + arguments, int(result), at, number))
    return [call for call in found if call.result >= 0]
