"""Counting: what an app holds, its labels by concept, and what waits. Next: `rpcs/counts`, `api/metrics`."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

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


def labels(connection: Connection, concepts: Sequence[int]) -> list[LabelCount]:
    """Of annotations that count."""
    label, input, annotation = tables.labels.c, tables.inputs.c, tables.annotations.c
    joined = tables.labels.join(tables.inputs, input.seq == label.input).join(
        tables.annotations, annotation.seq == label.annotation
    )
    query = (
        select(label.concept, label.value, input.status, func.count(func.distinct(label.input)))
        .select_from(joined)
        .where(label.concept.in_(concepts), annotation.status == snapshots.COUNTING)
        .group_by(label.concept, label.value, input.status)
    )
    return [LabelCount(*row) for row in connection.execute(query)]


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
