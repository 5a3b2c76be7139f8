"""Garbage collection of blobs that no row and no frozen manifest names. Next: `blobs`, for the dance with a put.

Deleting is the reverse of writing: the row goes first, the file after a grace time. A put of the same bytes meanwhile
renews the file's time; a file is moved aside, looked at again, and only then removed.
"""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import Connection, select

from luthier.errors import CorruptFile
from luthier.store.blobs import TEMPORARY, Blobs
from luthier.store.database import Database
from luthier.store.snapshots import Status
from luthier.store.tables import dataset_exports, dataset_versions, inputs, masks

GRACE_SECONDS = 3600.0
TEMPORARY_SECONDS = 60.0  # an unfinished file that nobody has written to for so long has lost its writer
ASIDE = ".gone-"
LOCK = ".collecting"  # whoever collects holds it; changed whenever a blob is removed
_ROWS = 500
_BLOB = re.compile(rb'"blob": ?"([0-9a-f]{64})"')  # within JSON's strings quotes are escaped: it stands nowhere else


def collect(
    database: Database, blobs: Blobs, manifests: Iterable[Path] = (), grace_seconds: float = GRACE_SECONDS
) -> int:
    """Removes blobs older than the grace time that nothing names; returns how many.

    What names a blob: an input, a mask, a dataset version, an export of one, a line of a dataset version's manifest, a
    line of one of `manifests` (those of running trainings). While a dataset version is being frozen nothing is removed.
    """
    with _alone(blobs) as alone:
        return _collect(database, blobs, manifests, time.time() - grace_seconds) if alone else 0


def last_removal(blobs: Blobs) -> float:
    """When the last blob was removed, in seconds since 1970, or not long after."""
    try:
        return (blobs.root / LOCK).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _collect(database: Database, blobs: Blobs, manifests: Iterable[Path], before: float) -> int:
    _remove_leftovers(blobs, before)
    with database.read() as connection:
        if connection.execute(
            select(dataset_versions.c.seq).where(dataset_versions.c.status == Status.IN_PROGRESS)
        ).first():
            return 0
        unnamed: set[str] = set()
        for names in _folders(blobs):  # one after another: the names of all files may be a million
            unnamed |= {sha for sha in _without_rows(connection, names) if _age_ok(blobs.path(sha), before)}
        frozen = list(
            connection.execute(select(dataset_versions.c.manifest).where(dataset_versions.c.manifest != "")).scalars()
        )
    for manifest in (*(blobs.path(sha) for sha in frozen), *manifests):
        _leave_out_named(unnamed, manifest)
    return sum(_remove(database, blobs, sha, before) for sha in sorted(unnamed))


def _folders(blobs: Blobs) -> Iterator[set[str]]:
    """The names of the files in each folder."""
    for folder in sorted(blobs.root.iterdir()):
        if folder.is_dir():
            yield {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def _age_ok(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _without_rows(connection: Connection, shas: set[str]) -> set[str]:
    ordered, unnamed = sorted(shas), set(shas)
    for at in range(0, len(ordered), _ROWS):
        some = ordered[at : at + _ROWS]
        unnamed -= set(connection.execute(select(inputs.c.blob).where(inputs.c.blob.in_(some))).scalars())
        named = select(dataset_versions.c.manifest).where(dataset_versions.c.manifest.in_(some))
        unnamed -= set(connection.execute(named).scalars())
        unnamed -= set(connection.execute(select(masks.c.blob).where(masks.c.blob.in_(some))).scalars())
        exported = select(dataset_exports.c.blob).where(dataset_exports.c.blob.in_(some))
        unnamed -= set(connection.execute(exported).scalars())
    return unnamed


def _leave_out_named(unnamed: set[str], manifest: Path) -> None:
    """Takes out of `unnamed` what a manifest needs."""
    if not unnamed:
        return
    if not manifest.exists():
        raise CorruptFile(f"manifest {manifest} is missing, so nobody knows which files it needs; nothing is removed")
    with manifest.open("rb") as lines:
        for line in lines:
            unnamed.difference_update(sha.decode() for sha in _BLOB.findall(line))


@contextlib.contextmanager
def _alone(blobs: Blobs) -> Iterator[bool]:
    """False where another process collects already."""
    with (blobs.root / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _remove(database: Database, blobs: Blobs, sha: str, before: float) -> bool:
    path = blobs.path(sha)
    aside = path.with_name(ASIDE + sha)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    with database.read() as connection:
        wanted = not _without_rows(connection, {sha})
    if wanted or not _age_ok(aside, before):
        aside.rename(path)
        return False
    os.utime(blobs.root / LOCK)
    aside.unlink()
    return True


def _remove_leftovers(blobs: Blobs, before: float) -> None:
    """Temporary files of dead writers; and puts back what a collection that died had moved aside."""
    for folder in (folder for folder in blobs.root.iterdir() if folder.is_dir()):
        for path in folder.glob(".*"):
            if path.name.startswith(TEMPORARY) and _age_ok(path, time.time() - TEMPORARY_SECONDS):
                path.unlink(missing_ok=True)
            elif (
                path.name.startswith(ASIDE)
                and _age_ok(path, before)
                and not path.with_name(path.name[len(ASIDE) :]).exists()
            ):
                path.rename(path.with_name(path.name[len(ASIDE) :]))
