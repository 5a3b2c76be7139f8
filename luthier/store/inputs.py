"""Inputs and the calls that brought them in. Next: `annotations` for their labels, `datasets` for memberships."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, select, update

from luthier.errors import TryAgain
from luthier.store import input_blocks, tables
from luthier.store.conflicts import unless_taken
from luthier.store.database import BY_KEY, insert_rows, now, one_of


@dataclass(frozen=True)
class NewInput:
    """What an input is made of. `message` is the wire Input without what has columns."""

    id: str
    kind: str  # image or text
    blob: str
    size: int  # bytes
    format: str
    width: int
    height: int
    split: str
    status: int
    message: bytes


@dataclass(frozen=True)
class InputRow:
    seq: int
    app: int
    id: str
    kind: str
    blob: str
    size: int
    format: str
    width: int
    height: int
    split: str
    status: int
    details: str
    message: bytes
    created_at: float
    modified_at: float


@dataclass(frozen=True)
class InputJob:
    """One inputs_add_job_id, and how many of its inputs are in which status."""

    seq: int
    id: str
    created_at: float
    modified_at: float


_COLUMNS = tuple(tables.inputs.c[field.name] for field in fields(InputRow))


def add(connection: Connection, app: int, items: Sequence[NewInput], input_job: int | None) -> list[InputRow]:
    """In the order given. The caller has seen in the same transaction that the ids are free."""
    if not items:
        return []
    time = now()
    same = {"app": app, "details": "", "input_job": input_job, "created_at": time, "modified_at": time}
    again = TryAgain("another call is making an input of the same id; send it again")
    with unless_taken(again):  # without RETURNING: on SQLite that would be a statement per row
        insert_rows(connection, tables.inputs, [vars(item) | same for item in items])
    made = find_many(connection, app, [item.id for item in items])
    input_blocks.added(connection, app, [row.seq for row in made.values()])
    return [made[item.id] for item in items]


def find(connection: Connection, app: int, id: str) -> InputRow | None:
    return find_many(connection, app, [id]).get(id)


def find_many(connection: Connection, app: int, ids: Iterable[str]) -> dict[str, InputRow]:
    """By id; ids that are not there are left out."""
    rows = _rows(connection, _in_app(app).where(tables.inputs.c.id.in_(list(ids))))
    return {row.id: row for row in rows}


def page(
    connection: Connection,
    app: int,
    offset: int,
    limit: int,
    *,
    ids: Sequence[str] = (),
    status: int | None = None,
) -> list[InputRow]:
    """In order of creation. Every page of all inputs costs the same, however far it is."""
    seq = tables.inputs.c.seq
    query = select(seq).where(tables.inputs.c.app == app)
    if ids:
        query = query.where(tables.inputs.c.id.in_(ids))
    if status is not None:
        query = query.where(tables.inputs.c.status == status)
    if not ids and status is None:
        first, offset = input_blocks.place_of(connection, app, offset)
        query = query.where(seq >= first).execution_options(**BY_KEY)
    found = list(connection.execute(query.order_by(seq).offset(offset).limit(limit)).scalars())
    rows = rows_of(connection, found)  # apart: what is skipped is skipped in an index
    return [rows[number] for number in found if number in rows]


def counts(connection: Connection, app: int) -> dict[int, int]:
    """How many inputs of an app are in which status."""
    return _counts(connection, tables.inputs.c.app == app)


def set_message(connection: Connection, seq: int, message: bytes, split: str) -> None:
    values = {"message": message, "split": split, "modified_at": now()}
    connection.execute(update(tables.inputs).where(tables.inputs.c.seq == seq).values(**values))


def touch(connection: Connection, seqs: Sequence[int]) -> None:
    """Their labels or regions have changed."""
    connection.execute(update(tables.inputs).where(tables.inputs.c.seq.in_(seqs)).values(modified_at=now()))


def remove(connection: Connection, seqs: Sequence[int]) -> None:
    """With their annotations and memberships; bytes that nobody names any more go with the next garbage collection."""
    table = tables.inputs
    gone = connection.execute(delete(table).where(table.c.seq.in_(seqs)).returning(table.c.app, table.c.seq))
    input_blocks.removed(connection, [(row.app, row.seq) for row in gone])


# -- the calls that brought inputs in ----------------------------------------------------------------------------------


def input_job(connection: Connection, app: int, id: str) -> InputJob:
    """The job of that id, which is made where it is not there."""
    found = find_job(connection, app, id)
    time, table = now(), tables.input_jobs
    if found:
        connection.execute(update(table).where(table.c.seq == found.seq).values(modified_at=time))
        return replace(found, modified_at=time)
    result = connection.execute(insert(table).values(app=app, id=id, created_at=time, modified_at=time))
    return InputJob(int(result.inserted_primary_key[0]), id, time, time)  # type: ignore[index]


def find_job(connection: Connection, app: int, id: str) -> InputJob | None:
    table = tables.input_jobs
    row = connection.execute(select(table).where(table.c.app == app, table.c.id == id)).mappings().first()
    return _job(row) if row else None


def page_of_jobs(connection: Connection, app: int, offset: int, limit: int) -> list[InputJob]:
    table = tables.input_jobs
    query = select(table).where(table.c.app == app).order_by(table.c.seq).offset(offset).limit(limit)
    return [_job(row) for row in connection.execute(query).mappings()]


def job_counts(connection: Connection, job: int) -> dict[int, int]:
    """How many of the inputs that a job brought in are in which status."""
    return _counts(connection, tables.inputs.c.input_job == job)


def _job(row: RowMapping) -> InputJob:
    return InputJob(row["seq"], row["id"], row["created_at"], row["modified_at"])


def _in_app(app: int) -> Select[Any]:
    return select(*_COLUMNS).where(tables.inputs.c.app == app)


def _rows(connection: Connection, query: Select[Any]) -> list[InputRow]:
    return [InputRow(*row) for row in connection.execute(query).all()]


def rows_of(connection: Connection, seqs: Sequence[int]) -> dict[int, InputRow]:
    """By seq; those that are not there are left out."""
    rows = _rows(
        connection, select(*_COLUMNS).where(one_of(connection, tables.inputs.c.seq, seqs)).execution_options(**BY_KEY)
    )
    return {row.seq: row for row in rows}


def _counts(connection: Connection, where: Any) -> dict[int, int]:
    status = tables.inputs.c.status
    query = select(status, func.count()).where(where).group_by(status)
    return {int(code): int(number) for code, number in connection.execute(query)}
