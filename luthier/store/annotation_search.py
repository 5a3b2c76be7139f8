"""Searching an app's annotations by inputs, users, statuses, concepts, times. Next: `rpcs/annotation_searches`.

What only the message tells (`Filter.judge`) is asked of each row that has passed everything else.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, not_, or_, select, union_all

from luthier.errors import InvalidRequest
from luthier.store import annotations
from luthier.store.annotations import AnnotationRow
from luthier.store.input_filter import LabelIs
from luthier.store.input_search import LOOKING_SECONDS
from luthier.store.tables import annotations as table
from luthier.store.tables import concepts, dataset_inputs, datasets, inputs, labels, region_labels

_ROWS = 1000

Judge = Callable[[AnnotationRow], bool]


@dataclass(frozen=True)
class Filter:
    """What an annotation must all be: one of the ids, users and datasets, where there are any, of every input id named,
    and with every label.

    Times are Unix seconds, `before` excluded. A label may be one of the whole input or one of a region.
    """

    ids: tuple[str, ...] = ()
    input_ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    status: int | None = None
    input_status: int | None = None
    labels: tuple[LabelIs, ...] = ()
    datasets: tuple[str, ...] = ()
    since: float | None = None
    before: float | None = None
    judge: Judge | None = field(default=None, compare=False)
    negate: bool = False


def page(connection: Connection, app: int, filters: Sequence[Filter], offset: int, limit: int) -> list[AnnotationRow]:
    """In order of creation."""
    if not any(one.judge for one in filters):
        conditions = [_turned(app, one) for one in filters]
        return annotations.where(connection, app, conditions, offset=offset, limit=limit)
    return list(islice(_matching(connection, app, filters), offset, offset + limit))


def every(connection: Connection, app: int, filters: Sequence[Filter]) -> list[tuple[int, int]]:
    """(number of the annotation, number of its input) of all that pass, in order of creation."""
    if any(one.judge for one in filters):
        return [(row.seq, row.input) for row in _matching(connection, app, filters)]
    return annotations.numbers_where(connection, app, [_turned(app, one) for one in filters])


def of_numbers(connection: Connection, app: int, numbers: Sequence[int]) -> list[AnnotationRow]:
    """In the order of the numbers; what is not there any more is left out."""
    found = {row.seq: row for row in annotations.where(connection, app, [table.c.seq.in_(numbers)])}
    return [found[number] for number in numbers if number in found]


def _matching(connection: Connection, app: int, filters: Sequence[Filter]) -> Iterator[AnnotationRow]:
    """A negated filter with a judge is decided here as a whole; so SQL tells which rows are all the rest of it.

    Raises InvalidRequest after LOOKING_SECONDS.
    """
    judged = [one for one in filters if one.judge]
    asked = [_turned(app, one) for one in filters if not (one.judge and one.negate)]
    after, until = 0, time.monotonic() + LOOKING_SECONDS
    while True:
        if time.monotonic() > until:
            raise InvalidRequest(
                f"the search has looked at annotations one by one for {LOOKING_SECONDS:.0f} s and is not at its end; "
                "add an input, a user, a concept or a status, or ask for an earlier page"
            )
        rows = annotations.where(connection, app, [*asked, table.c.seq > after], limit=_ROWS)
        seqs = [row.seq for row in rows]
        passed = [_passing(connection, app, one, seqs) if one.negate else set(seqs) for one in judged]
        for row in rows:
            if all(_kept(one, row, found) for one, found in zip(judged, passed, strict=True)):
                yield row
        if len(rows) < _ROWS:
            return
        after = seqs[-1]


def _kept(one: Filter, row: AnnotationRow, passed: set[int]) -> bool:
    holds = row.seq in passed and (one.judge is None or one.judge(row))
    return holds != one.negate


def _passing(connection: Connection, app: int, one: Filter, seqs: Sequence[int]) -> set[int]:
    return {row.seq for row in annotations.where(connection, app, [_holds(app, one), table.c.seq.in_(seqs)])}


def _turned(app: int, one: Filter) -> ColumnElement[bool]:
    return not_(_holds(app, one)) if one.negate else _holds(app, one)


def _holds(app: int, one: Filter) -> ColumnElement[bool]:
    """What SQL can tell of a filter, not yet turned round."""
    wanted: list[ColumnElement[bool]] = [table.c.seq.in_(_labelled(app, label)) for label in one.labels]
    wanted += [inputs.c.id == id for id in one.input_ids]
    wanted += [column.in_(names) for column, names in ((table.c.id, one.ids), (table.c.user, one.users)) if names]
    codes = ((table.c.status, one.status), (inputs.c.status, one.input_status))
    wanted += [column == code for column, code in codes if code is not None]
    if one.datasets:
        wanted.append(table.c.input.in_(_members(app, one.datasets)))
    if one.since is not None:
        wanted.append(table.c.modified_at >= one.since)
    if one.before is not None:
        wanted.append(table.c.modified_at < one.before)
    return and_(*wanted) if wanted else table.c.seq > 0


def _labelled(app: int, wanted: LabelIs) -> Any:
    """Annotations that give the concept of that id, else of that name, this value."""
    named = (
        concepts.c.id == wanted.id if wanted.id else or_(concepts.c.name == wanted.name, concepts.c.id == wanted.name)
    )
    these = select(concepts.c.seq).where(concepts.c.app == app, named)

    def of(carriers: Table) -> Select[Any]:
        return select(carriers.c.annotation).where(carriers.c.concept.in_(these), carriers.c.value == wanted.value)

    return union_all(of(labels), of(region_labels))


def _members(app: int, ids: Sequence[str]) -> Select[Any]:
    named = select(datasets.c.seq).where(datasets.c.app == app, datasets.c.id.in_(ids))
    return select(dataset_inputs.c.input).where(dataset_inputs.c.dataset.in_(named))
