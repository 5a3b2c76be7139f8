"""Concepts by id, and making those that labels name and that are not there yet. Next: `resources`, `annotations`."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from luthier.store import resources, tables
from luthier.store.database import insert_unless, now

_NAMED_AT_ONCE = 10_000  # databases take some 32,000 parameters in a statement


def seqs(connection: Connection, app: int, ids: set[str]) -> dict[str, int]:
    """Of those concepts that exist."""
    table, ordered = tables.concepts, sorted(ids)
    found: dict[str, int] = {}
    for start in range(0, len(ordered), _NAMED_AT_ONCE):
        some = ordered[start : start + _NAMED_AT_ONCE]
        query = select(table.c.id, table.c.seq).where(table.c.app == app, table.c.id.in_(some))
        found |= {str(row.id): int(row.seq) for row in connection.execute(query)}
    return found


def seqs_made(connection: Connection, app: int, names: Mapping[str, str]) -> dict[str, int]:
    """Seq per id of `names` (id to name); concepts that are not there are made."""
    have = seqs(connection, app, set(names))
    missing = [id for id in names if id not in have]
    if missing:
        time = now()
        rows = [
            {"app": app, "id": id, "name": names[id], "message": b"", "created_at": time, "modified_at": time}
            for id in missing
        ]
        connection.execute(insert_unless(connection, tables.concepts), rows)
        have |= seqs(connection, app, set(missing))
    return have


def names(connection: Connection, app: int, ids: set[str]) -> dict[str, str]:
    table = tables.concepts
    query = select(table.c.id, table.c.name).where(table.c.app == app, table.c.id.in_(ids))
    return {row.id: row.name for row in connection.execute(query)}


def find_named(connection: Connection, app: int, id: str) -> tuple[resources.Row, str] | None:
    """The row and the name that it has now."""
    row = resources.find(connection, tables.concepts, app, id)
    return (row, names(connection, app, {id})[id]) if row else None
