"""Inputs in the order in which a follower reads them, and stopping what waits to be decoded. Next: `inputs`."""

from sqlalchemy import Connection, select, update

from luthier.store import tables
from luthier.store.database import now
from luthier.store.ingestion import PENDING_INPUT
from luthier.store.inputs import InputRow

CANCELLED_INPUT = 30002  # wire: the download failed
_COLUMNS = tuple(tables.inputs.c[name] for name in InputRow.__dataclass_fields__)


def page_behind(
    connection: Connection, app: int, last: int | str | None, limit: int, *, by_id: bool, descending: bool
) -> list[InputRow]:
    """The next inputs behind `last`: an id where they are ordered by id, else a seq; None for the first ones."""
    column = tables.inputs.c.id if by_id else tables.inputs.c.seq
    query = select(*_COLUMNS).where(tables.inputs.c.app == app)
    if last is not None:
        query = query.where(column < last if descending else column > last)
    rows = connection.execute(query.order_by(column.desc() if descending else column).limit(limit))
    return [InputRow(*row) for row in rows]


def cancel_pending(connection: Connection, job: int, details: str) -> int:
    """PENDING_INPUT -> CANCELLED_INPUT for what an add job brought in; its decoding passes them over. How many."""
    waiting = (tables.inputs.c.input_job == job, tables.inputs.c.status == PENDING_INPUT)
    values = {"status": CANCELLED_INPUT, "details": details, "modified_at": now()}
    return connection.execute(update(tables.inputs).where(*waiting).values(**values)).rowcount
