"""Counting: what an app holds, its labels by concept, and what waits. Next: `rpcs/counts`, `api/metrics`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Subquery, func, select, true, union

from luthier.store import snapshots, tables


@dataclass(frozen=True)
class LabelCount:
    """So many inputs of this status have a label of this concept and value."""

    concept: int
    value: int  # 1 positive, 0 negative
    status: int  # of the inputs
    inputs: int


def in_app(connection: Connection, app: int) -> dict[str, int]:
    """How many datasets, models and inputs an app has."""
    kinds = {"datasets": tables.datasets, "models": tables.models, "inputs": tables.inputs}
    return {
        name: int(connection.execute(select(func.count()).select_from(table).where(table.c.app == app)).scalar_one())
        for name, table in kinds.items()
    }


def labels(connection: Connection, app: int, concepts: Sequence[int]) -> list[LabelCount]:
    """Of annotations that count, of whole inputs and of regions; by concept and value.

    Indexes tell how many inputs have a label; only of those that are not good the rows are looked at.
    """
    carried = _carried(concepts)
    every = select(carried.c.concept, carried.c.value, func.count()).group_by(carried.c.concept, carried.c.value)
    left = {(concept, value): number for concept, value, number in connection.execute(every)}
    found = (
        [LabelCount(*row) for row in connection.execute(_not_good(carried, app))] if _any_bad(connection, app) else []
    )
    for count in found:
        left[count.concept, count.value] -= count.inputs
    found += [LabelCount(*key, snapshots.GOOD_INPUT, number) for key, number in left.items() if number]
    return sorted(found, key=lambda count: (count.concept, count.value, count.status))


def _carried(concepts: Sequence[int]) -> Subquery:
    """(concept, value, input), each once."""
    label, part, note = tables.labels.c, tables.region_labels.c, tables.annotations.c
    whole = select(label.concept, label.value, label.input).where(label.counting == true())
    parts = select(part.concept, part.value, part.input).join(tables.annotations, note.seq == part.annotation)
    counting = parts.where(note.status == snapshots.COUNTING, part.concept.in_(concepts))
    return union(whole.where(label.concept.in_(concepts)), counting).subquery()


def _any_bad(connection: Connection, app: int) -> bool:
    input, good = tables.inputs.c, snapshots.GOOD_INPUT
    sides = (input.status < good, input.status > good)  # two ranges of an index, where != would be none
    queries = (select(input.seq).where(input.app == app, side).limit(1) for side in sides)
    return any(connection.execute(query).first() for query in queries)


def _not_good(carried: Subquery, app: int) -> Select[Any]:
    input, row = tables.inputs.c, carried.c
    query = select(row.concept, row.value, input.status, func.count()).join(tables.inputs, input.seq == row.input)
    bad = query.where(input.app == app, input.status != snapshots.GOOD_INPUT)
    return bad.group_by(row.concept, row.value, input.status)


def jobs(connection: Connection) -> list[tuple[str, str, int]]:
    """(kind, state, how many), of every user."""
    table = tables.jobs.c
    query = select(table.kind, table.state, func.count()).group_by(table.kind, table.state)
    return [
        (kind, state, number) for kind, state, number in connection.execute(query.order_by(table.kind, table.state))
    ]


def pending_inputs(connection: Connection) -> int:
    """Of every app; asked app by app, for which there is an index."""
    input, app = tables.inputs.c, tables.apps.c
    joined = tables.apps.join(tables.inputs, (input.app == app.seq) & (input.status == snapshots.PENDING_INPUT))
    return int(connection.execute(select(func.count()).select_from(joined)).scalar_one())
