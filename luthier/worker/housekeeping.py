"""What nobody waits for: blobs without a row, run folders without a version, leases without an owner. Next: `loop`."""

import contextlib
import shutil
import time
from pathlib import Path

from sqlalchemy import select

from luthier.settings import Settings
from luthier.store import asked_urls, collection, jobs, snapshots, token_files, uploads, vector_files, versions
from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.store.tables import model_versions
from luthier.store.upload_files import UploadFiles
from luthier.worker.calibration_job import FOLDER as CALIBRATIONS
from luthier.worker.export_job import EXPORTING
from luthier.worker.import_job import IMPORTING
from luthier.worker.snapshot_job import FREEZING

GRACE_SECONDS = collection.GRACE_SECONDS
JOBS_SECONDS = 24 * 3600.0  # ended jobs are kept so long, for people who look at what went on
CLOCKS_SECONDS = 60.0  # by which those of disks and machines may differ
_ROWS = 500


def tidy(
    settings: Settings, database: Database, blobs: Blobs, grace_seconds: float = GRACE_SECONDS, since: float = 0.0
) -> tuple[int, int]:
    """Removes what has been without an owner for the grace time; returns how many (blobs, run folders).

    `since`: when this was done before, in seconds since 1970. Tokens and vectors that are as they were then are not
    read again, unless bytes that they may be made of were removed.
    """
    with database.write() as connection:
        snapshots.drop_unneeded(connection)
    _forget_jobs(database)
    runs = remove_runs(settings, database, grace_seconds)
    _remove_leftovers(settings, grace_seconds)
    remove_uploads(settings, database)
    with database.write() as connection:
        asked_urls.remove_old(connection, time.time() - grace_seconds)
    collected = collection.collect(database, blobs, _manifests(settings, database), grace_seconds)
    unread = since - CLOCKS_SECONDS
    if collection.last_removal(blobs) >= unread:
        unread = 0.0
    vector_files.forget(settings.vectors_folder, blobs.exists, unread)
    if settings.token_cache_mb:
        token_files.forget(settings.tokens_folder, blobs.exists, unread)
    else:
        token_files.forget(settings.tokens_folder, lambda sha: False)
    return collected, runs


def _forget_jobs(database: Database) -> None:
    before, full = time.time() - JOBS_SECONDS, True
    while full:
        with database.write() as connection:
            full = jobs.forget_ended(connection, before) == jobs.AT_ONCE


def _manifests(settings: Settings, database: Database) -> list[Path]:
    """Of trainings that may still read their pictures."""
    with database.read() as connection:
        folders = select(model_versions.c.run_folder).where(model_versions.c.status.in_(versions.UNDER_WAY))
        names = [name for name in connection.execute(folders).scalars() if name]
    manifests = [settings.runs_folder / name / "manifest.jsonl" for name in names]
    return [manifest for manifest in manifests if manifest.exists()]


def remove_runs(settings: Settings, database: Database, grace_seconds: float = GRACE_SECONDS) -> int:
    """Run folders whose version was deleted; those of `luthier train` are kept elsewhere."""
    if not settings.runs_folder.exists():
        return 0
    before = time.time() - grace_seconds
    old = [path for path in settings.runs_folder.iterdir() if path.is_dir() and path.stat().st_mtime < before]
    known: set[str] = set()
    with database.read() as connection:
        for at in range(0, len(old), _ROWS):
            ids = [path.name for path in old[at : at + _ROWS]]
            known |= set(connection.execute(select(model_versions.c.id).where(model_versions.c.id.in_(ids))).scalars())
    orphans = [path for path in old if path.name not in known and not path.name.startswith(".")]
    for path in orphans:
        shutil.rmtree(path, ignore_errors=True)
    return len(orphans)


def remove_uploads(settings: Settings, database: Database) -> int:
    """Bytes of uploads whose time is over or whose row is gone; returns how many. A row comes before its file."""
    files = UploadFiles(settings)
    with database.write() as connection:
        over = uploads.expired(connection, time.time())
        uploads.expire(connection, over)
    known = files.known()
    with database.read() as connection:
        orphans = known - set(uploads.by_seqs(connection, sorted(known)))
    files.remove({*over, *orphans})
    return len(known & {*over, *orphans})


def _remove_leftovers(settings: Settings, grace_seconds: float) -> None:
    """Working folders of jobs whose worker was killed."""
    before = time.time() - grace_seconds
    working = [path for prefix in (FREEZING, EXPORTING, IMPORTING) for path in settings.data_dir.glob(f"{prefix}*")]
    for folder in (*working, *(settings.runs_folder / CALIBRATIONS).glob("job-*")):
        if folder.is_dir() and _last_change(folder) < before:
            shutil.rmtree(folder, ignore_errors=True)


def _last_change(folder: Path) -> float:
    """Of the folder or anything in it: a file that grows leaves the time of its folder as it is."""
    times = [0.0]
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # its owner removes it just now
            times.append(path.stat().st_mtime)
    return max(times)
