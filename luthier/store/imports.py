"""Inputs made out of an upload: how far each import is, and what became of every item. Next: `worker/import_job`.

A status: 64000 queued -> 64001 running -> 64002 done, 64003 failed (67000: not to be unpacked) or 64004 cancelled. Each
step is a named function.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from luthier.store.database import held, insert_unless, now
from luthier.store.tables import apps, import_items, imports

ACCEPTED = 30000  # the status of an item that is an input now, or was already


class Status(IntEnum):
    """Wire codes of a job, and of an archive that is none."""

    QUEUED = 64000  # waits for a worker: -> RUNNING, CANCELLED
    RUNNING = 64001  # a worker reads it: -> every other
    DONE = 64002  # every item was accepted or rejected; for good
    FAILED = 64003  # `details` say why; what was accepted before stays; for good
    CANCELLED = 64004  # someone asked; what was accepted before stays; for good
    NOT_UNPACKED = 67000  # FAILED, the archive being to blame; for good


ENDED = (Status.DONE, Status.FAILED, Status.CANCELLED, Status.NOT_UNPACKED)


@dataclass(frozen=True)
class Request:
    """How items are read and what every input gets. `labels`: concept id -> (name, 1 or 0)."""

    content_name: str
    dataset_ids: tuple[str, ...] = ()
    labels: dict[str, tuple[str, int]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    keep_good: bool = False  # rows that cannot be read are rejected one by one instead of all together
    skip: bool = False  # an id that is there with other content stays as it is


@dataclass(frozen=True)
class Import:
    seq: int
    app: int
    id: str
    input_job: int
    upload: int | None
    request: Request
    status: int
    details: str
    total: int
    made: int
    present: int
    rejected: int
    created_at: float
    modified_at: float

    @property
    def left(self) -> int:
        """Items that nothing is known of yet; at least one while it has not ended."""
        if self.status in ENDED:
            return 0
        return max(1, self.total - self.made - self.present - self.rejected)


@dataclass(frozen=True)
class Item:
    number: int  # from 1
    name: str
    input_id: str
    status: int
    details: str


_COLUMNS = tuple(imports.c[f.name] for f in fields(Import))
_ITEM = tuple(import_items.c[f.name] for f in fields(Item))


def add(connection: Connection, app: int, id: str, input_job: int, upload: int | None, request: Request) -> Import:
    time = now()
    row = {"app": app, "id": id, "input_job": input_job, "upload": upload, "status": int(Status.QUEUED)}
    text = json.dumps(asdict(request), ensure_ascii=True)
    counts = {"total": 0, "made": 0, "present": 0, "rejected": 0, "details": ""}
    connection.execute(insert(imports).values(**row, **counts, request=text, created_at=time, modified_at=time))
    found = find(connection, app, id)
    if found is None:
        raise LookupError(f"import {id} is not there right after it was made")
    return found


def find(connection: Connection, app: int, id: str) -> Import | None:
    return _first(connection, imports.c.app == app, imports.c.id == id)


def by_seq(connection: Connection, seq: int) -> Import | None:
    return _first(connection, imports.c.seq == seq)


def of_jobs(connection: Connection, input_jobs: Sequence[int]) -> dict[int, list[Import]]:
    """By the seq of the wire's add job, in order."""
    query = select(*_COLUMNS).where(imports.c.input_job.in_(input_jobs)).order_by(imports.c.seq)
    found: dict[int, list[Import]] = {}
    for row in connection.execute(query):
        found.setdefault(row.input_job, []).append(_import(row))
    return found


def page(connection: Connection, app: int, offset: int, limit: int) -> list[Import]:
    query = select(*_COLUMNS).where(imports.c.app == app).order_by(imports.c.seq).offset(offset).limit(limit)
    return [_import(row) for row in connection.execute(query)]


def begin(connection: Connection, seq: int) -> bool:
    """QUEUED, or RUNNING when taken over -> RUNNING."""
    return _move(connection, seq, (Status.QUEUED, Status.RUNNING), status=int(Status.RUNNING))


def hold(connection: Connection, one: Import) -> bool:
    """Whether it still runs, its app not deleted; other writers of the app wait until the transaction ends."""
    app = select(apps.c.seq).where(apps.c.seq == one.app)
    there = connection.execute(held(connection, app, apps)).first() is not None
    now_ = by_seq(connection, one.seq)
    return there and now_ is not None and now_.status == Status.RUNNING


def found_items(connection: Connection, seq: int, total: int) -> None:
    """How many items it has. Those that an earlier attempt has dealt with are counted already."""
    connection.execute(update(imports).where(imports.c.seq == seq).values(total=total, modified_at=now()))


def dealt_with(connection: Connection, seq: int) -> int:
    """The number of the last item whose fate is known; they are dealt with in order."""
    last = select(func.max(import_items.c.number)).where(import_items.c.import_job == seq)
    return int(connection.execute(last).scalar() or 0)


def add_items(connection: Connection, seq: int, items: Sequence[Item], *, made: int, present: int) -> None:
    """What became of some more; the rest of `items` was rejected. An item that is known already stays."""
    rows = [{"import_job": seq, **vars(item)} for item in items]
    if not rows:
        return
    connection.execute(insert_unless(connection, import_items), rows)
    more = {"made": imports.c.made + made, "present": imports.c.present + present}
    more["rejected"] = imports.c.rejected + len(rows) - made - present
    connection.execute(update(imports).where(imports.c.seq == seq).values(**more, modified_at=now()))


def items(
    connection: Connection, seqs: Sequence[int], offset: int, limit: int, *, rejected_only: bool = False
) -> list[Item]:
    query = select(*_ITEM).where(import_items.c.import_job.in_(seqs))
    if rejected_only:
        query = query.where(import_items.c.status != ACCEPTED)
    order = (import_items.c.import_job, import_items.c.number)
    return [Item(*row) for row in connection.execute(query.order_by(*order).offset(offset).limit(limit))]


def done(connection: Connection, seq: int) -> None:
    """RUNNING -> DONE."""
    _move(connection, seq, (Status.RUNNING,), status=int(Status.DONE))


def abandon(connection: Connection, before: float) -> None:
    """RUNNING -> FAILED for those of a command that was killed: no upload, and nothing has moved since `before`."""
    here = (imports.c.upload.is_(None), imports.c.status == int(Status.RUNNING), imports.c.modified_at < before)
    values = {"status": int(Status.FAILED), "details": "its command ended without a word", "modified_at": now()}
    connection.execute(update(imports).where(*here).values(**values))


def failed(connection: Connection, seq: int, details: str, status: Status = Status.FAILED) -> None:
    """QUEUED or RUNNING -> FAILED, or NOT_UNPACKED."""
    _move(connection, seq, (Status.QUEUED, Status.RUNNING), status=int(status), details=details)


def cancelled(connection: Connection, seq: int, details: str) -> None:
    """QUEUED or RUNNING -> CANCELLED."""
    _move(connection, seq, (Status.QUEUED, Status.RUNNING), status=int(Status.CANCELLED), details=details)


def _move(connection: Connection, seq: int, leaves: Sequence[Status], **values: Any) -> bool:
    here = (imports.c.seq == seq, imports.c.status.in_([int(status) for status in leaves]))
    return connection.execute(update(imports).where(*here).values(**values, modified_at=now())).rowcount == 1


def _first(connection: Connection, *where: Any) -> Import | None:
    row = connection.execute(select(*_COLUMNS).where(*where)).first()
    return _import(row) if row else None


def _import(row: Any) -> Import:
    values = dict(row._mapping)
    given = json.loads(values.pop("request"))
    labels = {id: (name, value) for id, (name, value) in given.pop("labels").items()}
    return Import(**values, request=Request(**{**given, "dataset_ids": tuple(given["dataset_ids"])}, labels=labels))
