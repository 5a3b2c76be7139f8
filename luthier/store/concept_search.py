"""Finding concepts by the beginning of their names or ids, in any letters. Next: `rpcs/concept_searches`."""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from luthier.store import tables
from luthier.store.patterns import beginning
from luthier.store.resources import Row

_ROWS = 1000


def matching(connection: Connection, app: int, pattern: str) -> Iterator[tuple[Row, str]]:
    """(row, name) in order of creation, of those whose id or name begins with `pattern`; `*` stands for anything.

    Letter case is folded here: the databases fold ASCII alone. Rows are read as the caller asks for more.
    """
    wanted = beginning(pattern)
    table, after = tables.concepts, 0
    while True:
        query = select(table).where(table.c.app == app, table.c.seq > after).order_by(table.c.seq).limit(_ROWS)
        rows = connection.execute(query).all()
        for row in rows:
            after = row.seq
            if wanted.match(row.id.casefold()) or wanted.match(row.name.casefold()):
                yield Row(row.seq, app, row.id, row.message, row.created_at, row.modified_at), row.name
        if len(rows) < _ROWS:
            return
