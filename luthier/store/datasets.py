"""Which inputs are in which datasets. The datasets' own rows: `resources`. Next: `dataset_versions`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from luthier.store import tables
from luthier.store.database import BY_KEY, insert_rows, now, one_of


@dataclass(frozen=True)
class Member:
    seq: int
    input: int
    created_at: float


def seqs(connection: Connection, app: int, ids: Iterable[str]) -> dict[str, int]:
    """Of those datasets that exist."""
    table = tables.datasets
    query = select(table.c.id, table.c.seq).where(table.c.app == app, table.c.id.in_(list(ids)))
    return {row.id: row.seq for row in connection.execute(query)}


def message_of(connection: Connection, dataset: int) -> bytes:
    """The dataset's stored message; empty where it is gone."""
    found = connection.execute(select(tables.datasets.c.message).where(tables.datasets.c.seq == dataset)).scalar()
    return found or b""


def add_members(connection: Connection, pairs: Sequence[tuple[int, int]]) -> None:
    """(dataset, input) seqs; those that are in already stay as they are."""
    if not pairs:
        return
    time = now()
    rows = [{"dataset": dataset, "input": input, "created_at": time} for dataset, input in pairs]
    insert_rows(connection, tables.dataset_inputs, rows, unless_there=True)


def members(connection: Connection, dataset: int, inputs: Sequence[int]) -> dict[int, Member]:
    """Those of `inputs` that are in the dataset, by the input's seq."""
    table = tables.dataset_inputs
    query = select(table.c.seq, table.c.input, table.c.created_at)
    rows = connection.execute(query.where(table.c.dataset == dataset, table.c.input.in_(inputs)))
    return {row.input: Member(*row) for row in rows}


def page_of_members(connection: Connection, dataset: int, offset: int, limit: int) -> list[Member]:
    table = tables.dataset_inputs
    query = select(table.c.seq, table.c.input, table.c.created_at).where(table.c.dataset == dataset)
    return [Member(*row) for row in connection.execute(query.order_by(table.c.seq).offset(offset).limit(limit))]


def datasets_of(connection: Connection, inputs: Sequence[int]) -> dict[int, list[str]]:
    """Ids of the datasets that inputs are in, by the input's seq."""
    table = tables.dataset_inputs
    query = (
        select(table.c.input, tables.datasets.c.id)
        .join(tables.datasets, tables.datasets.c.seq == table.c.dataset)
        .where(one_of(connection, table.c.input, inputs))
        .order_by(table.c.seq)
        .execution_options(**BY_KEY)
    )
    found: dict[int, list[str]] = defaultdict(list)
    for input, id in connection.execute(query).all():
        found[input].append(id)
    return found


def take_out(connection: Connection, input: int, datasets: Sequence[int]) -> None:
    """One input out of those of the datasets that it is in."""
    table = tables.dataset_inputs
    connection.execute(delete(table).where(table.c.input == input, table.c.dataset.in_(datasets)))


def remove_members(connection: Connection, seqs: Sequence[int]) -> None:
    connection.execute(delete(tables.dataset_inputs).where(tables.dataset_inputs.c.seq.in_(seqs)))
