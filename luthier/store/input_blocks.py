"""Where an app's n-th input is: inputs are counted by blocks of numbers, so no page is reached by counting rows.

Whoever adds or removes inputs says so here, in the same transaction. Next: `inputs`.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from luthier.store.engines import BY_KEY
from luthier.store.tables import input_blocks

BLOCK = 4096  # numbers in a block; the migration that made the table knows it too


def added(connection: Connection, app: int, seqs: Iterable[int]) -> None:
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    more: Any = make(input_blocks)
    counted = more.on_conflict_do_update(
        index_elements=["app", "block"], set_={"inputs": input_blocks.c.inputs + more.excluded.inputs}
    )
    blocks = sorted(Counter(seq // BLOCK for seq in seqs).items())
    connection.execute(counted, [{"app": app, "block": block, "inputs": count} for block, count in blocks])


def removed(connection: Connection, rows: Iterable[tuple[int, int]]) -> None:
    """`rows` are (app, seq) of what went."""
    blocks = sorted(Counter((app, seq // BLOCK) for app, seq in rows).items())
    if not blocks:
        return
    for (app, block), count in blocks:
        here = (input_blocks.c.app == app, input_blocks.c.block == block)
        connection.execute(update(input_blocks).where(*here).values(inputs=input_blocks.c.inputs - count))
    those = tuple_(input_blocks.c.app, input_blocks.c.block).in_([key for key, _ in blocks])
    connection.execute(delete(input_blocks).where(those, input_blocks.c.inputs <= 0))


def place_of(connection: Connection, app: int, offset: int) -> tuple[int, int]:
    """(first, rest): the app's input number `offset`, from 0, is number `rest` of those from seq `first` on."""
    if offset < BLOCK:
        return 0, offset
    column = input_blocks.c
    before = func.sum(column.inputs).over(order_by=column.block) - column.inputs
    blocks = select(column.block, before.label("before")).where(column.app == app).subquery()
    query = (
        select(blocks)
        .where(blocks.c.before <= offset)
        .order_by(blocks.c.block.desc())
        .limit(1)
        .execution_options(**BY_KEY)
    )
    found = connection.execute(query).first()
    return (int(found.block) * BLOCK, offset - int(found.before)) if found else (0, offset)
