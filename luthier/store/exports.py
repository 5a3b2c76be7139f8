"""Exports of dataset versions: one archive per version and format. Next: `worker/export_job`, which writes them.

An export: 64201 pending -> 64203 in progress -> 64200 done or 64202 failed. Each step is a named function.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, delete, select, update

from luthier.store.database import insert_unless, now
from luthier.store.tables import dataset_exports


class Status(IntEnum):
    """Wire codes of an export."""

    DONE = 64200  # the archive is there; for good
    PENDING = 64201  # asked for: -> IN_PROGRESS
    FAILED = 64202  # `details` say why; removed once that has been told, so that it can be asked for again
    IN_PROGRESS = 64203  # a worker writes it: -> DONE, FAILED


class Format(IntEnum):
    """The wire's DatasetVersionExportFormat."""

    CLARIFAI_DATA_PROTOBUF = 1
    COCO = 2
    CLARIFAI_DATA_JSON = 3


@dataclass(frozen=True)
class Export:
    seq: int
    id: str
    version: int
    format: int
    status: int
    details: str
    blob: str  # SHA-256 of the archive, "" until it is there
    size: int  # bytes


_COLUMNS = tuple(dataset_exports.c[field.name] for field in fields(Export))


def ask(connection: Connection, version: int, format: Format) -> tuple[Export, bool]:
    """The export, and whether it is new, so that the caller enqueues its job in the same transaction."""
    time, id = now(), uuid4().hex
    row = {"id": id, "version": version, "format": int(format), "status": int(Status.PENDING)}
    connection.execute(insert_unless(connection, dataset_exports), [{**row, "created_at": time, "modified_at": time}])
    here = (dataset_exports.c.version == version, dataset_exports.c.format == int(format))
    found = Export(*connection.execute(select(*_COLUMNS).where(*here)).one())
    return found, found.id == id


def by_seq(connection: Connection, seq: int) -> Export | None:
    return _one(connection, dataset_exports.c.seq == seq)


def by_id(connection: Connection, id: str) -> Export | None:
    return _one(connection, dataset_exports.c.id == id)


def of_versions(connection: Connection, versions: Iterable[int]) -> dict[int, list[Export]]:
    """By the version's seq, in the order in which they were asked for."""
    query = select(*_COLUMNS).where(dataset_exports.c.version.in_(list(versions))).order_by(dataset_exports.c.seq)
    found: dict[int, list[Export]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.version].append(Export(*row))
    return found


def begin(connection: Connection, seq: int) -> bool:
    """PENDING, or IN_PROGRESS when taken over -> IN_PROGRESS."""
    return _move(connection, seq, (Status.PENDING, Status.IN_PROGRESS), status=Status.IN_PROGRESS)


def done(connection: Connection, seq: int, blob: str, size: int, details: str) -> bool:
    """IN_PROGRESS -> DONE with its archive; `details` tell what was left out."""
    return _move(connection, seq, (Status.IN_PROGRESS,), status=Status.DONE, blob=blob, size=size, details=details)


def failed(connection: Connection, seq: int, details: str) -> bool:
    """PENDING or IN_PROGRESS -> FAILED."""
    return _move(connection, seq, (Status.PENDING, Status.IN_PROGRESS), status=Status.FAILED, details=details)


def forget(connection: Connection, seqs: Sequence[int]) -> None:
    """Removes exports that failed; others stay."""
    gone = (dataset_exports.c.seq.in_(seqs), dataset_exports.c.status == int(Status.FAILED))
    connection.execute(delete(dataset_exports).where(*gone))


def _one(connection: Connection, condition: Any) -> Export | None:
    row = connection.execute(select(*_COLUMNS).where(condition)).first()
    return Export(*row) if row else None


def _move(connection: Connection, seq: int, leaves: tuple[Status, ...], **values: Any) -> bool:
    here = (dataset_exports.c.seq == seq, dataset_exports.c.status.in_([int(status) for status in leaves]))
    values["status"] = int(values["status"])
    return connection.execute(update(dataset_exports).where(*here).values(**values, modified_at=now())).rowcount == 1
