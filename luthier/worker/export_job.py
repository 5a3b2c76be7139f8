"""Writes a dataset version into an archive: Clarifai's data format as protobuf or JSON, or COCO. Next: `exporting/`.

Subject: seq of the export. An export that is asked for before its version is ready waits for it.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from luthier.errors import LuthierError, TryAgain
from luthier.store import exports, jobs, snapshots
from luthier.store.exports import Export, Format
from luthier.store.jobs import Job
from luthier.store.snapshots import DatasetVersion
from luthier.worker.exporting import clarifai_data, coco
from luthier.worker.exporting.archive import Archive
from luthier.worker.exporting.frozen import Frozen
from luthier.worker.lease import Interrupted, Why
from luthier.worker.work import Work

EXPORTING = "export-"  # a working folder in the data folder
WAIT_SECONDS = 0.5  # for a version that is being made, before others get their turn
_WRITERS = {
    Format.CLARIFAI_DATA_PROTOBUF: clarifai_data.write_protobuf,
    Format.CLARIFAI_DATA_JSON: clarifai_data.write_json,
    Format.COCO: coco.write,
}


class ExportJob:
    kind = "export"

    def run(self, work: Work) -> None:
        asked, version = _subject(work)
        if version.status in (snapshots.Status.PENDING, snapshots.Status.IN_PROGRESS):
            _come_back(work)
            return
        with work.database.write() as connection:
            jobs.require(connection, work.job)
            if version.status == snapshots.Status.FAILED:
                exports.failed(connection, asked.seq, f"the version could not be made: {version.details}")
                jobs.finish(connection, work.job)
                return
            exports.begin(connection, asked.seq)
        try:
            _export(work, asked, version)
        except TryAgain:  # the database was busy: another attempt
            raise
        except LuthierError as error:  # what the data cannot be made into stays so
            with work.database.write() as connection:
                exports.failed(connection, asked.seq, error.details)
                jobs.fail(connection, work.job, error.details, retry=False)

    def gave_up(self, connection: Connection, job: Job, reasons: Sequence[str]) -> None:
        if job.subject is not None:
            exports.failed(connection, job.subject, "; ".join(reasons))

    def close(self) -> None:
        """Holds nothing."""


def _subject(work: Work) -> tuple[Export, DatasetVersion]:
    with work.database.read() as connection:
        asked = exports.by_seq(connection, work.job.subject or 0)
        version = snapshots.by_seq(connection, asked.version) if asked else None
    if asked is None or version is None:  # deleted meanwhile
        raise Interrupted(Why.CANCELLED)
    return asked, version


def _come_back(work: Work) -> None:
    work.lease.sleep(WAIT_SECONDS)
    with work.database.write() as connection:
        jobs.postpone(connection, work.job)


def _export(work: Work, asked: Export, version: DatasetVersion) -> None:
    frozen = Frozen(work, version)
    with tempfile.TemporaryDirectory(prefix=EXPORTING, dir=work.settings.data_dir) as folder:
        path = Path(folder) / "export.zip"
        with Archive(path, work.settings.disk_reserve_mb) as archive:
            _WRITERS[Format(asked.format)](frozen, archive)
        size, sha = path.stat().st_size, work.blobs.put_file(path)
    with work.database.write() as connection:
        jobs.require(connection, work.job)
        exports.done(connection, asked.seq, sha, size, frozen.left_out())
        jobs.finish(connection, work.job)
