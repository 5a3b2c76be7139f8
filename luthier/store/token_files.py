"""Forgets the tokens of texts whose bytes are gone. The engine writes the files: its `token_files` says in what form.

After 32 bytes stands a line of JSON, "texts" in it says how many there are; then comes the SHA-256 of each one's bytes.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

HASH_BYTES, LONGEST_LINE = 32, 2**16
WRITING_SECONDS = 3600.0  # at the most


def forget(folder: Path, there: Callable[[str], bool], since: float = 0.0) -> int:
    """Removes the files of which some text's bytes are not `there`, by their SHA-256, and what killed writers left.

    Files that have not changed `since` (seconds since 1970) are not read. Returns how many are gone.
    """
    asked = [file for file in folder.glob("*.tokens") if not _older(file, since)]
    gone = [file for file in asked if not _all_there(file, there)]
    before = time.time() - WRITING_SECONDS
    gone += [file for file in folder.glob(".*.tmp") if _older(file, before)]
    for file in gone:
        file.unlink(missing_ok=True)
    return len(gone)


def _older(file: Path, before: float) -> bool:
    try:
        return file.stat().st_mtime < before
    except FileNotFoundError:  # it has made way, or is whole now and has its name
        return False


def _all_there(file: Path, there: Callable[[str], bool]) -> bool:
    """A file that is no such file counts as one whose texts are gone."""
    try:
        with file.open("rb") as rows:
            rows.read(HASH_BYTES)
            texts = int(json.loads(rows.readline(LONGEST_LINE))["texts"])
            return all(there(rows.read(HASH_BYTES).hex()) for _ in range(texts))
    except (OSError, ValueError, KeyError, TypeError):
        return False
