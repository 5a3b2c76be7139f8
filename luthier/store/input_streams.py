"""Numbers of inputs in order, out of the index that has the fewest of them to look at. Next: `input_search`.

Databases guess badly how many inputs pass several filters, so this module chooses where to begin: at the rarest of the
labels and datasets that are asked for, whose index holds input numbers in order, and probes the other conditions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Table,
    and_,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union,
)

from luthier.store import tables
from luthier.store.input_filter import Filter, LabelIs
from luthier.store.snapshots import COUNTING

_COUNTED = 20_000  # rows; of streams that are longer any will do
_INPUT = tables.inputs.c


@dataclass(frozen=True)
class _Part:
    """Rows of a table that name an input. `conditions` are on the table or an alias of it."""

    table: Table
    conditions: Callable[[FromClause], tuple[ColumnElement[bool], ...]]

    def rows(self) -> Any:
        return select(self.table.c.input.label("seq")).where(*self.conditions(self.table))

    def holds(self, input: ColumnElement[int]) -> ColumnElement[bool]:
        mine = self.table.alias()
        return exists(select(1).where(mine.c.input == input, *self.conditions(mine)))


@dataclass(frozen=True)
class _Source:
    """Inputs by an index: those that carry one of the concepts with a value, or are in one of the datasets."""

    parts: tuple[_Part, ...]
    in_order: bool  # each part's rows come in order of input

    def holds(self, input: ColumnElement[int]) -> ColumnElement[bool]:
        return or_(false(), *(part.holds(input) for part in self.parts))


@dataclass(frozen=True)
class _Known:
    """A filter whose names have been looked up. `rows`: conditions on the input's own row."""

    sources: tuple[_Source, ...]
    rows: tuple[ColumnElement[bool], ...]
    negate: bool

    def conditions(self, input: ColumnElement[int], *, without: _Source | None = None) -> list[ColumnElement[bool]]:
        found = [source.holds(input) for source in self.sources if source is not without]
        if self.rows:
            found.append(and_(*self.rows) if input is _INPUT.seq else exists(_rows_of(input, self.rows)))
        return [not_(and_(true(), *found))] if self.negate else found


def numbers(connection: Connection, app: int, filters: Sequence[Filter], after: int = 0) -> Any:
    """A SELECT of the numbers above `after`, in order, each once, of the app's inputs that pass every filter."""
    known = [_known(connection, app, one) for one in filters]
    first = _rarest(connection, known, named=any(one.ids and not one.negate for one in filters))
    if first is None:
        everything = [each for one in known for each in one.conditions(_INPUT.seq)]
        return select(_INPUT.seq).where(_INPUT.app == app, _INPUT.seq > after, *everything).order_by(_INPUT.seq)
    streams = []
    for stream in (part.rows() for part in first.parts):
        input = stream.selected_columns.seq.element
        rest = [each for one in known for each in one.conditions(input, without=first)]
        streams.append(stream.where(input > after, *rest).distinct())
    if len(streams) == 1:
        return streams[0].order_by(streams[0].selected_columns.seq)
    both = union(*streams)
    return both.order_by(both.selected_columns.seq)


def passing(connection: Connection, app: int, one: Filter, among: Sequence[int]) -> set[int]:
    """Which of these inputs are all that SQL can tell of a filter, not turned round."""
    known = _known(connection, app, one)
    conditions = _Known(known.sources, known.rows, negate=False).conditions(_INPUT.seq)
    return set(connection.execute(select(_INPUT.seq).where(_INPUT.seq.in_(among), *conditions)).scalars())


def _rarest(connection: Connection, known: Sequence[_Known], *, named: bool) -> _Source | None:
    """None: begin at the inputs themselves, as for filters that name ids."""
    sources = [source for one in known if not one.negate for source in one.sources if source.in_order]
    if named or not sources:
        return None
    return sources[0] if len(sources) == 1 else min(sources, key=lambda source: _length(connection, source))


def _length(connection: Connection, source: _Source) -> int:
    """Rows, at most about _COUNTED."""
    counted = [select(func.count()).select_from(part.rows().limit(_COUNTED).subquery()) for part in source.parts]
    return sum(int(connection.execute(query).scalar_one()) for query in counted)


def _known(connection: Connection, app: int, one: Filter) -> _Known:
    sources = [_labelled(connection, app, label) for label in one.labels]
    if one.datasets:
        sources.append(_members(connection, app, one.datasets))
    return _Known(tuple(sources), tuple(_of_rows(connection, one)), one.negate)


def _labelled(connection: Connection, app: int, wanted: LabelIs) -> _Source:
    """Labels of whole inputs, and of their regions where there are any of the concept."""
    concept, label, part = tables.concepts.c, tables.labels, tables.region_labels
    named = concept.id == wanted.id if wanted.id else or_(concept.name == wanted.name, concept.id == wanted.name)
    found = list(connection.execute(select(concept.seq).where(concept.app == app, named)).scalars())

    def whole(row: FromClause) -> tuple[ColumnElement[bool], ...]:
        return _one_of(row.c.concept, found), row.c.value == wanted.value, row.c.counting == true()

    def of_a_part(row: FromClause) -> tuple[ColumnElement[bool], ...]:
        note = tables.annotations.alias().c
        counts = exists(select(1).where(note.seq == row.c.annotation, note.status == COUNTING))
        return _one_of(row.c.concept, found), row.c.value == wanted.value, counts

    parts = [_Part(table, conditions) for table, conditions in ((label, whole), (part, of_a_part))]
    used = [one for one in parts if _any(connection, select(1).where(one.table.c.concept.in_(found)))]
    return _Source(tuple(used or parts[:1]), in_order=len(found) <= 1)


def _members(connection: Connection, app: int, ids: Sequence[str]) -> _Source:
    dataset, member = tables.datasets.c, tables.dataset_inputs
    found = list(connection.execute(select(dataset.seq).where(dataset.app == app, dataset.id.in_(ids))).scalars())
    return _Source((_Part(member, lambda row: (_one_of(row.c.dataset, found),)),), in_order=len(found) <= 1)


def _any(connection: Connection, query: Any) -> bool:
    return connection.execute(query.limit(1)).first() is not None


def _one_of(column: ColumnElement[int], values: Sequence[int]) -> ColumnElement[bool]:
    return column == values[0] if len(values) == 1 else column.in_(values)


def _of_rows(connection: Connection, one: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if one.ids:
        conditions.append(_INPUT.id.in_(one.ids))
    if one.kinds:
        conditions.append(_INPUT.kind.in_(one.kinds))
    if one.status is not None:
        conditions.append(_INPUT.status == one.status)
    if one.changed is not None:
        conditions.append(and_(_INPUT.modified_at >= one.changed[0], _INPUT.modified_at < one.changed[1]))
    for alternatives in one.judge.holding if one.judge else ():
        conditions.append(or_(false(), *(_contains(connection, bytes) for bytes in alternatives)))
    return conditions


def _contains(connection: Connection, wanted: bytes) -> ColumnElement[bool]:
    """The input's message holds these bytes."""
    if connection.dialect.name == "sqlite":
        return func.instr(_INPUT.message, wanted) > 0
    return func.position(literal(wanted).op("IN")(_INPUT.message)) > 0


def _rows_of(input: ColumnElement[int], conditions: Sequence[ColumnElement[bool]]) -> Any:
    return select(1).where(_INPUT.seq == input, *conditions)
