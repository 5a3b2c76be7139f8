"""Searching an app's inputs by labels, datasets, kinds, statuses, times and what is in them. Next: `input_streams`.

A page is found in two steps: the numbers of its inputs from one stream of numbers that is in order already, then the
rows. What only a look at an input tells (`Judge`) is asked of each row that has passed everything else.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import Connection, func, select

from luthier.store import input_streams, inputs
from luthier.store.input_filter import Filter
from luthier.store.inputs import InputRow

_ROWS = 1000


def page(connection: Connection, app: int, filters: Sequence[Filter], offset: int, limit: int) -> list[InputRow]:
    """In order of creation."""
    if not filters:
        return inputs.page(connection, app, offset, limit)
    if any(one.judge for one in filters):
        return list(islice(_matching(connection, app, filters), offset, offset + limit))
    query = input_streams.numbers(connection, app, filters)
    return _rows(connection, list(connection.execute(query.offset(offset).limit(limit)).scalars()))


def count(connection: Connection, app: int, filters: Sequence[Filter]) -> int:
    if any(one.judge for one in filters):
        return sum(1 for _ in _matching(connection, app, filters))
    found = input_streams.numbers(connection, app, filters).order_by(None).subquery()
    return int(connection.execute(select(func.count()).select_from(found)).scalar_one())


def _matching(connection: Connection, app: int, filters: Sequence[Filter]) -> Iterator[InputRow]:
    """A filter with a judge is turned round as a whole, so a negated one passes SQL and is decided here."""
    judged = [one for one in filters if one.judge]
    asked = [one for one in filters if not (one.judge and one.negate)]
    after = 0
    while True:
        query = input_streams.numbers(connection, app, asked, after).limit(_ROWS)
        numbers = list(connection.execute(query).scalars())
        passed = [input_streams.passing(connection, app, one, numbers) if one.negate else None for one in judged]
        for row in _rows(connection, numbers):
            if all(_kept(one, row, found) for one, found in zip(judged, passed, strict=True)):
                yield row
        if len(numbers) < _ROWS:
            return
        after = numbers[-1]


def _kept(one: Filter, row: InputRow, passed: set[int] | None) -> bool:
    """`passed`: which rows are all that SQL can tell of a negated filter; None where it has told already."""
    by_sql = passed is None or row.seq in passed
    return (by_sql and (one.judge is None or one.judge.keep(row))) != one.negate


def _rows(connection: Connection, numbers: Sequence[int]) -> list[InputRow]:
    found = inputs.rows_of(connection, numbers) if numbers else {}
    return [found[number] for number in numbers if number in found]
