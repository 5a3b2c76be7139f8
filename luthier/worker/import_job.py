"""Makes inputs out of an upload: an archive, a table, a file of annotations. Next: `importing/bring_in`.

Subject: seq of the import. A retry goes on behind the last item whose fate stands in the store.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from luthier.errors import ArchiveExtractFailed, DiskFull, LuthierError, TryAgain, UploadFailed
from luthier.store import imports, jobs, uploads
from luthier.store.imports import Import, Status
from luthier.store.jobs import Job
from luthier.store.upload_files import UploadFiles
from luthier.worker.importing.bring_in import Place, bring_in
from luthier.worker.importing.source import unpacked
from luthier.worker.lease import Interrupted, Why
from luthier.worker.work import Work

IMPORTING = "import-"  # a working folder in the data folder


class ImportJob:
    kind = "import"

    def run(self, work: Work) -> None:
        one = _begun(work)
        try:
            _bring_in(work, one)
        except (DiskFull, TryAgain):
            raise  # no fault of the data: it is tried again
        except LuthierError as error:
            status = Status.NOT_UNPACKED if isinstance(error, ArchiveExtractFailed) else Status.FAILED
            with work.database.write() as connection:
                imports.hold(connection, one)
                imports.failed(connection, one.seq, error.details, status)
                jobs.finish(connection, work.job)
        else:
            _end(work, one)

    def gave_up(self, connection: Connection, job: Job, reasons: Sequence[str]) -> None:
        if job.subject is not None:
            imports.failed(connection, job.subject, "; ".join(reasons))

    def close(self) -> None:
        """Holds nothing."""


def _begun(work: Work) -> Import:
    """The import, running. Raises Interrupted where it was cancelled or deleted, or has ended."""
    with work.database.write() as connection:
        one = imports.by_seq(connection, work.job.subject or 0)
        if one is None:
            raise Interrupted(Why.CANCELLED)
        imports.hold(connection, one)
        jobs.require(connection, work.job)
        if not imports.begin(connection, one.seq):
            raise Interrupted(Why.CANCELLED)
        return one


def _bring_in(work: Work, one: Import) -> None:
    with tempfile.TemporaryDirectory(prefix=IMPORTING, dir=work.settings.data_dir) as folder:

        def progress(done: int, total: int) -> None:
            work.lease.progress = done
            os.utime(folder)  # housekeeping leaves it alone

        place = Place(
            work.database,
            work.blobs,
            work.settings,
            work.job.user,
            guard=lambda connection: jobs.require(connection, work.job),
            check=work.lease.check,
            progress=progress,
        )
        data = unpacked(_verified(work, one), one.request.content_name, Path(folder), work.settings, work.lease.check)
        bring_in(place, one, data)


def _verified(work: Work, one: Import) -> Path:
    """The upload's file, once all that arrived is found in it again. Raises UploadFailed."""
    if one.upload is None:
        raise UploadFailed("the upload was deleted; send the file again")
    with work.database.read() as connection:
        parts = uploads.parts(connection, one.upload)
    return UploadFiles(work.settings).verify(one.upload, parts)


def _end(work: Work, one: Import) -> None:
    """The bytes of the upload are not needed any more, unless another import waits for them."""
    upload = one.upload or 0
    with work.database.write() as connection:
        imports.hold(connection, one)
        imports.done(connection, one.seq)
        used = not uploads.waited_for(connection, [upload])
        if used:
            uploads.used(connection, upload)
        jobs.finish(connection, work.job)
    if used:
        UploadFiles(work.settings).remove([upload])
