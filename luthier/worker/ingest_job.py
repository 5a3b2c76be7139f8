"""Decodes uploaded inputs in full, in a helper process with limits: 30001 -> 30000, or what is wrong with them.

Payload: {"inputs": [seq, …]}. Next: `data/decode_pool` for the helper, `store/ingestion` for the rows.
"""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from luthier.data.decode_pool import DecodeProcess, DecodeResult
from luthier.errors import InvalidBytes
from luthier.store import ingestion, jobs
from luthier.store.ingestion import GOOD_INPUT, Checked, Unchecked
from luthier.store.jobs import Job
from luthier.worker.work import Work

BATCH = 128  # rows per transaction


class IngestJob:
    """Keeps its decode helper between jobs. One per lane thread."""

    kind = "ingest"

    def __init__(self, memory_mb: int, seconds: float) -> None:
        self._decoder = DecodeProcess(memory_mb, seconds)

    def run(self, work: Work) -> None:
        seqs = [int(seq) for seq in work.job.payload["inputs"]]
        for at in range(0, len(seqs), BATCH):
            with work.database.read() as connection:
                waiting = ingestion.pending(connection, seqs[at : at + BATCH])
            checked = self._checked(work, waiting)
            with work.database.write() as connection:
                jobs.require(connection, work.job)
                ingestion.apply(connection, checked)
            work.lease.progress = at + BATCH
            work.lease.check()
        with work.database.write() as connection:
            jobs.finish(connection, work.job)

    def gave_up(self, connection: Connection, job: Job, reasons: Sequence[str]) -> None:
        """The inputs cannot stay pending for ever: they say why they were never checked."""
        details = "the input could not be checked: " + "; ".join(reasons)
        seqs = [int(seq) for seq in job.payload["inputs"]]
        left = ingestion.pending(connection, seqs)
        ingestion.apply(connection, [Checked(row.seq, InvalidBytes.code, details, 0, 0) for row in left])

    def close(self) -> None:
        self._decoder.close()

    def _checked(self, work: Work, waiting: Sequence[Unchecked]) -> list[Checked]:
        paths = [work.blobs.path(row.blob) for row in waiting]
        results = self._decoder.check_many(paths) if paths else []
        rows = zip(waiting, paths, results, strict=True)
        return [_row(row, path, result) for row, path, result in rows]


def _row(row: Unchecked, path: Path, result: DecodeResult) -> Checked:
    if result.ok and result.sha256 != row.blob:
        details = f"stored file {path.name} no longer holds what its name says; upload the input again"
        return Checked(row.seq, InvalidBytes.code, details, 0, 0)
    if result.ok:
        return Checked(row.seq, GOOD_INPUT, "", result.width, result.height)
    return Checked(row.seq, result.code, result.details, result.width, result.height)
