"""What checking uploaded inputs reads and writes: 30001 pending -> 30000 good, or the code of what is wrong.

Next: `worker/ingest_job`, which decodes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from luthier.store.database import now
from luthier.store.snapshots import GOOD_INPUT, PENDING_INPUT
from luthier.store.tables import inputs

__all__ = ["GOOD_INPUT", "PENDING_INPUT", "Checked", "Unchecked", "apply", "pending"]


@dataclass(frozen=True)
class Unchecked:
    seq: int
    kind: str
    blob: str


@dataclass(frozen=True)
class Checked:
    seq: int
    status: int  # wire code
    details: str
    width: int  # upright, pixels; 0 where it could not be read: the row keeps what its header said
    height: int


def pending(connection: Connection, seqs: Sequence[int]) -> list[Unchecked]:
    """Those of the inputs that are still there and unchecked."""
    waiting = (inputs.c.seq.in_(seqs), inputs.c.status == PENDING_INPUT)
    rows = connection.execute(select(inputs.c.seq, inputs.c.kind, inputs.c.blob).where(*waiting).order_by(inputs.c.seq))
    return [Unchecked(*row) for row in rows]


def apply(connection: Connection, checked: Sequence[Checked]) -> None:
    """PENDING_INPUT -> what was found, for at most 128 inputs; one that is gone or changed is left alone."""
    found = [row for row in checked if row.width and row.height]
    unread = [row for row in checked if not (row.width and row.height)]
    plain = {"status": bindparam("to"), "details": bindparam("why"), "modified_at": now()}
    statement = update(inputs).where(inputs.c.seq == bindparam("which"), inputs.c.status == PENDING_INPUT)
    if found:
        sized = statement.values(**plain, width=bindparam("w"), height=bindparam("h"))
        connection.execute(sized, [{**_row(row), "w": row.width, "h": row.height} for row in found])
    if unread:
        connection.execute(statement.values(**plain), [_row(row) for row in unread])


def _row(row: Checked) -> dict[str, object]:
    return {"which": row.seq, "to": row.status, "why": row.details}
