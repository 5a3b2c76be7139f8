"""Which processes there are, read from /proc: not every machine has `ps`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    state: str  # R, S, …; Z for one that has ended and is not yet buried
    command: str


def processes() -> Iterator[Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has just ended
        yield Process(int(folder.name), int(parent), state, command)


def alive(pid: int) -> bool:
    return any(process.pid == pid and process.state != "Z" for process in processes())
