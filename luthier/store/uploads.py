"""Files that arrive in parts, in any order, each once: the rows. Next: `upload_files` for the bytes, `imports`.

An upload's status: 68000 in progress -> 68001 done; either -> 68004 expired. Each step is a named function.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select, update

from luthier.errors import DuplicateId, shown
from luthier.store.conflicts import unless_taken
from luthier.store.database import now
from luthier.store.tables import imports, upload_parts, uploads

DAY_SECONDS = 86_400.0
QUEUED, RUNNING = 64000, 64001  # of an import, see `imports.Status`


class Status(IntEnum):
    """Wire codes of an upload."""

    IN_PROGRESS = 68000  # parts are missing: -> DONE, EXPIRED
    DONE = 68001  # every byte is on disk, or has become inputs: -> EXPIRED
    EXPIRED = 68004  # its bytes were removed unused; for good


@dataclass(frozen=True)
class NewUpload:
    id: str
    content_name: str
    content_length: int  # bytes


@dataclass(frozen=True)
class UploadRow:
    seq: int
    app: int
    id: str
    content_name: str
    content_length: int
    received: int
    status: int
    details: str
    created_at: float
    modified_at: float
    expires_at: float

    @property
    def gone(self) -> bool:
        """Whether its bytes were removed; `details` then say why."""
        return bool(self.details)


@dataclass(frozen=True)
class Part:
    range_start: int
    length: int
    sha: str

    @property
    def end(self) -> int:
        return self.range_start + self.length


_COLUMNS = tuple(uploads.c[field.name] for field in fields(UploadRow))


def add(connection: Connection, app: int, items: Sequence[NewUpload], days: float) -> list[UploadRow]:
    """In the order given. Raises DuplicateId where an id is taken."""
    time = now()
    same = {"app": app, "received": 0, "status": int(Status.IN_PROGRESS), "details": ""}
    times = {"created_at": time, "modified_at": time, "expires_at": time + days * DAY_SECONDS}
    taken = DuplicateId(f"duplicate id: one of the uploads {', '.join(shown(item.id) for item in items[:10])}")
    with unless_taken(taken):
        connection.execute(insert(uploads), [vars(item) | same | times for item in items])
    found = find_many(connection, app, [item.id for item in items])
    return [found[item.id] for item in items]


def find(connection: Connection, app: int, id: str) -> UploadRow | None:
    return find_many(connection, app, [id]).get(id)


def find_many(connection: Connection, app: int, ids: Sequence[str]) -> dict[str, UploadRow]:
    """By id; those that are not there are left out."""
    rows = connection.execute(select(*_COLUMNS).where(uploads.c.app == app, uploads.c.id.in_(list(ids))))
    return {row.id: UploadRow(*row) for row in rows}


def by_seqs(connection: Connection, seqs: Sequence[int]) -> dict[int, UploadRow]:
    return {row.seq: UploadRow(*row) for row in connection.execute(select(*_COLUMNS).where(uploads.c.seq.in_(seqs)))}


def page(connection: Connection, app: int, offset: int, limit: int) -> list[UploadRow]:
    query = select(*_COLUMNS).where(uploads.c.app == app).order_by(uploads.c.seq).offset(offset).limit(limit)
    return [UploadRow(*row) for row in connection.execute(query)]


def waited_for(connection: Connection, seqs: Sequence[int]) -> set[int]:
    """Those whose bytes an import still needs."""
    alive = (imports.c.upload.in_(seqs), imports.c.status.in_((QUEUED, RUNNING)))
    return {int(seq) for seq in connection.execute(select(imports.c.upload).where(*alive)).scalars() if seq}


def remove(connection: Connection, seqs: Sequence[int]) -> None:
    """The rows; the caller removes the files after the transaction."""
    connection.execute(delete(uploads).where(uploads.c.seq.in_(seqs)))


def parts(connection: Connection, upload: int) -> list[Part]:
    """What has arrived, from the beginning of the file to its end."""
    query = select(upload_parts.c.range_start, upload_parts.c.length, upload_parts.c.sha)
    rows = connection.execute(query.where(upload_parts.c.upload == upload).order_by(upload_parts.c.range_start))
    return [Part(*row) for row in rows]


def add_parts(connection: Connection, upload: int, new: Sequence[Part]) -> UploadRow:
    """IN_PROGRESS, -> DONE with the last byte. The caller has seen in the same transaction that none overlaps."""
    here = uploads.c.seq == upload
    if new:
        connection.execute(insert(upload_parts), [{"upload": upload, **vars(part)} for part in new])
        received = uploads.c.received + sum(part.length for part in new)
        connection.execute(update(uploads).where(here).values(received=received, modified_at=now()))
        done = (here, uploads.c.received == uploads.c.content_length, uploads.c.status == int(Status.IN_PROGRESS))
        connection.execute(update(uploads).where(*done).values(status=int(Status.DONE)))
    return by_seqs(connection, [upload])[upload]


def first_gap(known: Sequence[Part]) -> int:
    """The first byte that has not arrived; `known` is in order."""
    if not known or known[0].range_start:
        return 0
    return next((one.end for one, next_ in pairwise(known) if one.end != next_.range_start), known[-1].end)


def expired(connection: Connection, time: float, limit: int = 128) -> list[int]:
    """Seqs of those whose time is over, whose bytes may still be there, and which no import waits for."""
    waited_for = exists().where(imports.c.upload == uploads.c.seq, imports.c.status.in_((QUEUED, RUNNING)))
    over = (uploads.c.status != int(Status.EXPIRED), uploads.c.expires_at < time, ~waited_for)
    return list(connection.execute(select(uploads.c.seq).where(*over).order_by(uploads.c.seq).limit(limit)).scalars())


def expire(connection: Connection, seqs: Sequence[int]) -> None:
    """IN_PROGRESS or DONE -> EXPIRED."""
    _change(connection, seqs, status=int(Status.EXPIRED), details="its time was over; its bytes were removed")


def used(connection: Connection, seq: int) -> None:
    """DONE: its bytes have become inputs, and are removed."""
    _change(connection, [seq], details="its bytes have become inputs")


def _change(connection: Connection, seqs: Sequence[int], **values: Any) -> None:
    connection.execute(update(uploads).where(uploads.c.seq.in_(seqs)).values(modified_at=now(), **values))
