"""The log of a run: engine and worker both write log.txt, the worker copies it to the store. Next: `following`."""

import codecs
import time

from sqlalchemy import Connection

from luthier.runs.run import RunFolder
from luthier.store import logs

COPIED_AT_ONCE = 256 * 1024  # bytes: a transaction stays short


def note(run: RunFolder, text: str) -> None:
    """A line of the worker's own, in the form of the engine's."""
    with run.log_file.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%H:%M:%S')} {text}\n")


class LogCopy:
    """Copies what has been added to log.txt. The store holds a copy of the file from its first byte, so whoever takes
    a job over knows from its length where to go on.
    """

    def __init__(self, run: RunFolder, version: int) -> None:
        self._run = run
        self._version = version
        self._position: int | None = None

    def pending(self, *, whole: bool) -> str:
        """Text that the store does not have yet, up to the last line's end, or to the file's with `whole`."""
        if not self._run.log_file.exists() or self._position is None:
            return ""
        with self._run.log_file.open("rb") as file:
            file.seek(self._position)
            data = file.read(COPIED_AT_ONCE)
        end = data.rfind(b"\n") + 1 or (len(data) if whole or len(data) == COPIED_AT_ONCE else 0)
        self._taken = self._position + end
        return data[:end].decode("utf-8", "replace")

    def store(self, connection: Connection, text: str) -> None:
        """Appends what `pending` gave; call `stored` once the transaction has been committed."""
        logs.append(connection, self._version, text)

    def stored(self) -> None:
        self._position = self._taken

    def find_position(self, connection: Connection) -> None:
        """Where an earlier attempt's copy ended."""
        known = logs.length(connection, self._version)
        self._position = self._taken = _bytes_of(self._run, known)


def _bytes_of(run: RunFolder, characters: int) -> int:
    """How many bytes of log.txt make so many characters as the store counts them."""
    if not characters or not run.log_file.exists():
        return 0
    position = 0
    with run.log_file.open("rb") as file:
        for line in file:
            if characters <= 0:
                break
            characters -= len(codecs.decode(line, "utf-8", "replace"))
            position += len(line)
    return position
