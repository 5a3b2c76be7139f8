"""Searching an app's inputs by labels, datasets, kinds, statuses, times and what is in them. Next: `input_streams`.

A page is found in two steps: the numbers of its inputs from one stream of numbers that is in order already, then the
rows. What only a look at an input tells (`Judge`) is asked of each row that has passed everything else.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import Connection, func, select

from luthier.errors import InvalidRequest
from luthier.store import input_streams, inputs
from luthier.store.input_filter import Filter
from luthier.store.inputs import InputRow

LOOKING_SECONDS = 30.0  # at inputs one by one, in one call
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


def every(connection: Connection, app: int, filters: Sequence[Filter]) -> list[int]:
    """The numbers of all inputs that pass."""
    if any(one.judge for one in filters):
        return [row.seq for row in _matching(connection, app, filters)]
    return list(connection.execute(input_streams.numbers(connection, app, filters)).scalars())


def numbers_after(connection: Connection, app: int, filters: Sequence[Filter], after: int, limit: int) -> list[int]:
    """Of the inputs that pass the next `limit` behind input number `after`, for who walks over them all."""
    if any(one.judge for one in filters):
        return [row.seq for row in islice(_matching(connection, app, filters, after), limit)]
    return list(connection.execute(input_streams.numbers(connection, app, filters, after).limit(limit)).scalars())


def _matching(connection: Connection, app: int, filters: Sequence[Filter], after: int = 0) -> Iterator[InputRow]:
    """A filter with a judge is turned round as a whole, so a negated one passes SQL and is decided here.

    Raises InvalidRequest after LOOKING_SECONDS.
    """
    judged = [one for one in filters if one.judge]
    asked = [one for one in filters if not (one.judge and one.negate)]
    until = time.monotonic() + LOOKING_SECONDS
    while True:
        if time.monotonic() > until:
            raise InvalidRequest(
                f"the search has looked at inputs one by one for {LOOKING_SECONDS:.0f} s and is not at its end; "
                "add a concept, a dataset or a status, or ask for an earlier page"
            )
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
