"""Searching an app's inputs by labels, datasets, kinds, statuses and metadata. Next: `rpcs/input_searches`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select

from luthier.store import snapshots, tables
from luthier.store.inputs import InputRow

_ROWS = 1000
_COLUMNS = tuple(tables.inputs.c[name] for name in InputRow.__dataclass_fields__)

Keep = Callable[[bytes], bool]  # looks at a stored message


@dataclass(frozen=True)
class LabelIs:
    """An annotation that counts gives the concept of that id, else of that name, this value."""

    id: str
    name: str
    value: int


@dataclass(frozen=True)
class Filter:
    """What an input must all be; each list that is not empty asks for one of its entries, `labels` for every one."""

    ids: tuple[str, ...] = ()
    labels: tuple[LabelIs, ...] = ()
    datasets: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    status: int | None = None
    metadata: Keep | None = field(default=None, compare=False)
    negate: bool = False

    @property
    def by_message(self) -> bool:
        return self.metadata is not None


def page(connection: Connection, app: int, filters: list[Filter], offset: int, limit: int) -> list[InputRow]:
    """In order of creation. Without metadata SQL finds the page; with it rows are looked at one by one."""
    if not any(one.by_message for one in filters):
        query = _query(app, filters).order_by(tables.inputs.c.seq).offset(offset).limit(limit)
        return [InputRow(*row) for row in connection.execute(query)]
    return list(islice(_matching(connection, app, filters), offset, offset + limit))


def count(connection: Connection, app: int, filters: list[Filter]) -> int:
    if any(one.by_message for one in filters):
        return sum(1 for _ in _matching(connection, app, filters))
    found = _query(app, filters).with_only_columns(tables.inputs.c.seq).subquery()
    return int(connection.execute(select(func.count()).select_from(found)).scalar_one())


def _matching(connection: Connection, app: int, filters: list[Filter]) -> Iterator[InputRow]:
    """Each filter that asks for metadata is judged here as a whole; the others have been judged by SQL."""
    by_sql = [one for one in filters if not one.by_message]
    by_message = [one for one in filters if one.by_message]
    columns = [_holds(app, one).label(f"filter_{number}") for number, one in enumerate(by_message)]
    after = 0
    while True:
        query = _query(app, by_sql).add_columns(*columns).where(tables.inputs.c.seq > after)
        rows = connection.execute(query.order_by(tables.inputs.c.seq).limit(_ROWS)).all()
        for values in rows:
            row, rest = InputRow(*values[: len(_COLUMNS)]), values[len(_COLUMNS) :]
            after = row.seq
            if all(_judged(one, bool(sql), row) for one, sql in zip(by_message, rest, strict=True)):
                yield row
        if len(rows) < _ROWS:
            return


def _judged(one: Filter, by_sql: bool, row: InputRow) -> bool:
    """The rest of the filter and the metadata, turned round as one where it is negated."""
    return (by_sql and (one.metadata is None or one.metadata(row.message))) != one.negate


def _query(app: int, filters: list[Filter]) -> Any:
    conditions = [not_(_holds(app, one)) if one.negate else _holds(app, one) for one in filters]
    return select(*_COLUMNS).where(tables.inputs.c.app == app, *conditions)


def _holds(app: int, one: Filter) -> ColumnElement[bool]:
    """What SQL can tell of a filter, not yet turned round."""
    input = tables.inputs.c
    conditions: list[ColumnElement[bool]] = [input.seq.in_(_labelled(app, label)) for label in one.labels]
    if one.ids:
        conditions.append(input.id.in_(one.ids))
    if one.datasets:
        conditions.append(input.seq.in_(_members(app, one.datasets)))
    if one.kinds:
        conditions.append(input.kind.in_(one.kinds))
    if one.status is not None:
        conditions.append(input.status == one.status)
    return and_(*conditions) if conditions else input.seq > 0


def _labelled(app: int, wanted: LabelIs) -> Any:
    label, concept, annotation = tables.labels.c, tables.concepts.c, tables.annotations.c
    named = concept.id == wanted.id if wanted.id else or_(concept.name == wanted.name, concept.id == wanted.name)
    concepts = select(concept.seq).where(concept.app == app, named)
    counting = annotation.status == snapshots.COUNTING
    return (
        select(label.input)
        .join(tables.annotations, annotation.seq == label.annotation)
        .where(label.concept.in_(concepts), label.value == wanted.value, counting)
    )


def _members(app: int, ids: tuple[str, ...]) -> Any:
    dataset, member = tables.datasets.c, tables.dataset_inputs.c
    named = select(dataset.seq).where(dataset.app == app, dataset.id.in_(ids))
    return select(member.input).where(member.dataset.in_(named))
