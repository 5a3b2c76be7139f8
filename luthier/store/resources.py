"""Rows that are a wire message and an id in a parent: users, apps, concepts, datasets. Next: `inputs`, `annotations`.

The message is opaque bytes here. Functions take the caller's connection, so that a call is one transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    collate,
    delete,
    func,
    insert,
    select,
    update,
)

from luthier.errors import DuplicateId, shown
from luthier.store import tables
from luthier.store.conflicts import unless_taken
from luthier.store.database import BY_KEY, held, now

Order = Literal["seq", "id", "created_at", "modified_at"]


@dataclass(frozen=True)
class UserRow:
    seq: int
    id: str
    message: bytes
    created_at: float


@dataclass(frozen=True)
class Row:
    """A row of any table that hangs in a parent. `parent` is the user's seq for an app, else the app's."""

    seq: int
    parent: int
    id: str
    message: bytes
    created_at: float
    modified_at: float


@dataclass(frozen=True)
class AppRow:
    seq: int
    user: int
    user_id: str
    id: str
    message: bytes
    created_at: float
    modified_at: float


@dataclass(frozen=True)
class Wanted:
    """Which rows of a list: `id_pattern` may hold `*`, `contains` is searched in ids; both ignore letter case."""

    id_pattern: str = ""
    contains: str = ""
    order: Order = "seq"
    descending: bool = False


EVERYTHING = Wanted()


# -- users -------------------------------------------------------------------------------------------------------------


def user_by_seq(connection: Connection, seq: int) -> UserRow | None:
    row = connection.execute(select(tables.users).where(tables.users.c.seq == seq)).mappings().first()
    return UserRow(**row) if row else None


# -- apps --------------------------------------------------------------------------------------------------------------


def find_app(connection: Connection, user_id: str, app_id: str) -> AppRow | None:
    """In a write it stays as it is until the write ends, and other writers of the app wait."""
    query = _apps().where(tables.users.c.id == user_id, tables.apps.c.id == app_id).execution_options(**BY_KEY)
    row = connection.execute(held(connection, query, tables.apps)).mappings().first()
    return AppRow(**row) if row else None


def app_by_seq(connection: Connection, seq: int) -> AppRow | None:
    row = connection.execute(_apps().where(tables.apps.c.seq == seq)).mappings().first()
    return AppRow(**row) if row else None


def _apps() -> Select[Any]:
    return select(tables.apps, tables.users.c.id.label("user_id")).join(
        tables.users, tables.users.c.seq == tables.apps.c.user
    )


# -- any table of named messages ---------------------------------------------------------------------------------------


def find(connection: Connection, table: Table, parent: int, id: str) -> Row | None:
    row = connection.execute(_in_parent(table, parent).where(table.c.id == id)).mappings().first()
    return _row(table, row) if row else None


def find_many(connection: Connection, table: Table, parent: int, ids: Iterable[str]) -> dict[str, Row]:
    """By id; ids that are not there are left out."""
    rows = connection.execute(_in_parent(table, parent).where(table.c.id.in_(list(ids)))).mappings()
    return {row["id"]: _row(table, row) for row in rows}


def page(
    connection: Connection, table: Table, parent: int, offset: int, limit: int, wanted: Wanted = EVERYTHING
) -> list[Row]:
    column = _sortable(connection, table, wanted.order)
    order = (column.desc(), table.c.seq.desc()) if wanted.descending else (column, table.c.seq)
    query = _in_parent(table, parent).where(*_filters(table, wanted)).order_by(*order).offset(offset).limit(limit)
    return [_row(table, row) for row in connection.execute(query).mappings()]


def add(
    connection: Connection, table: Table, parent: int, messages: Sequence[tuple[str, bytes]], **columns: Sequence[Any]
) -> list[Row]:
    """Insert (id, message) pairs; further columns hold one value per pair. DuplicateId names the ids that are taken."""
    ids = [id for id, _ in messages]
    taken = sorted({id for id in ids if ids.count(id) > 1} | set(find_many(connection, table, parent, ids)))
    if taken:
        raise DuplicateId(f"duplicate id: {', '.join(map(shown, taken[:10]))}")
    time = now()
    rows = [
        {_parent(table).name: parent, "id": id, "message": message, "created_at": time, "modified_at": time}
        | {name: values[number] for name, values in columns.items()}
        for number, (id, message) in enumerate(messages)
    ]
    duplicate = DuplicateId(f"duplicate id: one of {', '.join(map(shown, ids[:10]))}")
    with unless_taken(duplicate):  # PostgreSQL: another transaction was quicker
        connection.execute(insert(table), rows)
    found = find_many(connection, table, parent, ids)
    return [found[id] for id in ids]


def set_message(connection: Connection, table: Table, seq: int, message: bytes, **columns: Any) -> None:
    connection.execute(update(table).where(table.c.seq == seq).values(message=message, modified_at=now(), **columns))


def remove(connection: Connection, table: Table, seqs: Sequence[int]) -> None:
    """With everything that hangs in them."""
    connection.execute(delete(table).where(table.c.seq.in_(seqs)))


def count(connection: Connection, table: Table, parent: int) -> int:
    return connection.execute(select(func.count()).select_from(table).where(_parent(table) == parent)).scalar_one()


def _parent(table: Table) -> Column[Any]:
    return table.c.user if table is tables.apps else table.c.app


def _in_parent(table: Table, parent: int) -> Select[Any]:
    return select(table).where(_parent(table) == parent)


def _sortable(connection: Connection, table: Table, order: Order) -> ColumnElement[Any]:
    """PostgreSQL sorts texts by its language's rules unless told otherwise, SQLite by their characters' numbers."""
    by_number = order == "id" and connection.dialect.name == "postgresql"
    return collate(table.c.id, "C") if by_number else table.c[order]


def _filters(table: Table, wanted: Wanted) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if wanted.id_pattern:
        pattern = _like(wanted.id_pattern.lower()).replace("*", "%")
        filters.append(func.lower(table.c.id).like(pattern, escape="!"))
    if wanted.contains:
        filters.append(func.lower(table.c.id).like(f"%{_like(wanted.contains.lower())}%", escape="!"))
    return filters


def _like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _row(table: Table, row: RowMapping) -> Row:
    return Row(row["seq"], row[_parent(table).name], row["id"], row["message"], row["created_at"], row["modified_at"])
