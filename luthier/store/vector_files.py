"""Forgets the vectors of inputs whose bytes are gone. The engine writes the files: its `vector_file` says in what form.

A file is called NAME-WIDTH.vectors; a record is the SHA-256 of the bytes, four bytes more, and WIDTH times four bytes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

KEY_BYTES, CHECK_BYTES, FLOAT_BYTES = 32, 4, 4
AT_ONCE = 4096  # records


def forget(folder: Path, there: Callable[[str], bool], since: float = 0.0) -> int:
    """Removes the records of bytes that are not `there`, by their SHA-256; returns how many.

    Files that have not changed `since` (seconds since 1970) are not read.
    What an engine appends meanwhile may be lost: it is computed again when it is needed.
    """
    return sum(_forget(file, there) for file in folder.glob("*-*.vectors") if file.stat().st_mtime >= since)


def _forget(file: Path, there: Callable[[str], bool]) -> int:
    gone = {key for key in (record[:KEY_BYTES] for record in _records(file)) if not there(key.hex())}
    if not gone:
        return 0
    temporary, removed = file.with_suffix(".tmp"), 0
    with temporary.open("wb") as kept:
        for record in _records(file):
            if record[:KEY_BYTES] in gone:
                removed += 1
            else:
                kept.write(record)
    temporary.replace(file)
    return removed


def _records(file: Path) -> Iterator[bytes]:
    """A record that is cut off at the end is left out."""
    size = KEY_BYTES + CHECK_BYTES + FLOAT_BYTES * int(file.stem.rpartition("-")[2])
    with file.open("rb") as rows:
        while block := rows.read(size * AT_ONCE):
            yield from (block[at : at + size] for at in range(0, len(block) - size + 1, size))
