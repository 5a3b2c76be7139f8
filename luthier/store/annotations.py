"""Annotations, and the labels (whole-input concepts) that they hold. Next: `regions`, `concepts`, `inputs`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, func, select, tuple_, update

from luthier.errors import DuplicateId, shown
from luthier.store import regions, tables
from luthier.store.conflicts import unless_taken
from luthier.store.database import BY_KEY, insert_rows, now, one_of
from luthier.store.regions import RegionRow
from luthier.store.snapshots import COUNTING


@dataclass(frozen=True)
class NewAnnotation:
    """`labels` is concept seq -> 1 positive or 0 negative. `own`: the input's own, made with it.

    `regions` are those that stand in the message; `status` 0 is the one that is given for all.
    """

    input: int
    id: str
    own: bool
    message: bytes
    labels: Mapping[int, int]
    regions: Sequence[RegionRow] = ()
    status: int = 0


@dataclass(frozen=True)
class Changed:
    """An annotation as it is to be: labels and regions these and no others, or None where they stay as they are."""

    seq: int
    input: int
    status: int
    message: bytes
    labels: Mapping[int, int] | None = None
    regions: Sequence[RegionRow] | None = None


@dataclass(frozen=True)
class AnnotationRow:
    seq: int
    input: int
    input_id: str
    id: str
    user: str
    status: int
    own: bool
    message: bytes
    created_at: float
    modified_at: float


@dataclass(frozen=True)
class Label:
    annotation: int
    input: int
    concept_id: str
    name: str
    value: int


@dataclass(frozen=True)
class Wanted:
    """Which annotations of an app: each list that is not empty narrows it. `own`: the inputs' own too."""

    ids: Sequence[str] = ()
    input_ids: Sequence[str] = ()
    user_ids: Sequence[str] = ()
    statuses: Sequence[int] = ()
    own: bool = False


def add(connection: Connection, app: int, user: str, status: int, items: Sequence[NewAnnotation]) -> list[int]:
    """With labels and regions; returns seqs in order. Raises DuplicateId where an input has one of that id already."""
    if not items:
        return []
    time, table = now(), tables.annotations
    same = {"app": app, "user": user, "created_at": time, "modified_at": time}
    rows = [
        {"input": item.input, "id": item.id, "own": item.own, "message": item.message}
        | {"status": item.status or status, **same}
        for item in items
    ]
    duplicate = DuplicateId(f"duplicate id: one of {', '.join(shown(item.id) for item in items[:10])}")
    before = connection.execute(select(func.coalesce(func.max(table.c.seq), 0))).scalar_one()
    with unless_taken(duplicate):  # without RETURNING: on SQLite that would be a statement per row
        insert_rows(connection, table, rows)
    new = (table.c.input.in_({item.input for item in items}), table.c.seq > before)
    query = select(table.c.input, table.c.id, table.c.seq).where(*new)
    found = {(row.input, row.id): int(row.seq) for row in connection.execute(query)}
    seqs = [found[item.input, item.id] for item in items]
    for counting in (True, False):
        some = [(seq, one) for seq, one in zip(seqs, items, strict=True) if _counts(one, status) == counting]
        _add_labels(connection, [(seq, one.input, one.labels) for seq, one in some], counting=counting)
    regions.add(connection, [(seq, item.input, item.regions) for seq, item in zip(seqs, items, strict=True)])
    return seqs


def rewrite(connection: Connection, changed: Sequence[Changed]) -> None:
    """A few statements for all of them."""
    if not changed:
        return
    table = tables.annotations
    values = {"message": bindparam("new"), "status": bindparam("to"), "modified_at": now()}
    rows = [{"which": one.seq, "new": one.message, "to": one.status} for one in changed]
    connection.execute(update(table).where(table.c.seq == bindparam("which")).values(**values), rows)
    said = [one.seq for one in changed if one.labels is not None]
    connection.execute(delete(tables.labels).where(tables.labels.c.annotation.in_(said)))
    for counting in (True, False):
        these = [one for one in changed if (one.status == COUNTING) == counting]
        given = [(one.seq, one.input, one.labels) for one in these if one.labels is not None]
        _add_labels(connection, given, counting=counting)
        kept = tables.labels.c.annotation.in_([one.seq for one in these if one.labels is None])
        connection.execute(update(tables.labels).where(kept).values(counting=counting))
    regions.replace(connection, [(one.seq, one.input, one.regions) for one in changed if one.regions is not None])


def find(connection: Connection, app: int, input_id: str, id: str) -> AnnotationRow | None:
    rows = find_pairs(connection, app, [(input_id, id)])
    return rows[0] if rows else None


def find_pairs(connection: Connection, app: int, pairs: Sequence[tuple[str, str]]) -> list[AnnotationRow]:
    """By (input id, annotation id)."""
    wanted = tuple_(tables.inputs.c.id, tables.annotations.c.id).in_(list(pairs))
    return _rows(connection, _in_app(app).where(wanted))


def own_of(connection: Connection, inputs: Sequence[int]) -> dict[int, AnnotationRow]:
    """The inputs' own annotations, by the input's seq."""
    table = tables.annotations
    rows = _rows(connection, _joined().where(table.c.input.in_(inputs), table.c.own.is_(True)))
    return {row.input: row for row in rows}


def page(connection: Connection, app: int, offset: int, limit: int, wanted: Wanted) -> list[AnnotationRow]:
    table, query = tables.annotations, _in_app(app)
    for column, values in (
        (table.c.id, wanted.ids),
        (tables.inputs.c.id, wanted.input_ids),
        (table.c.user, wanted.user_ids),
        (table.c.status, wanted.statuses),
    ):
        if values:
            query = query.where(column.in_(list(values)))
    if not wanted.own:
        query = query.where(table.c.own.is_(False))
    return _rows(connection, query.order_by(table.c.seq).offset(offset).limit(limit))


def where(
    connection: Connection, app: int, conditions: Sequence[ColumnElement[bool]], *, offset: int = 0, limit: int = -1
) -> list[AnnotationRow]:
    """Those of an app that meet conditions on the tables of annotations and inputs, in order of creation."""
    query = _in_app(app).where(*conditions).order_by(tables.annotations.c.seq)
    return _rows(connection, query.offset(offset).limit(limit) if limit >= 0 else query)


def numbers_where(connection: Connection, app: int, conditions: Sequence[ColumnElement[bool]]) -> list[tuple[int, int]]:
    """(seq, seq of the input) of those that `where` would give."""
    table, inputs = tables.annotations, tables.inputs
    query = select(table.c.seq, table.c.input).join(inputs, inputs.c.seq == table.c.input)
    found = connection.execute(query.where(table.c.app == app, *conditions).order_by(table.c.seq))
    return [(seq, input) for seq, input in found]


def labels_of(connection: Connection, annotations: Sequence[int]) -> dict[int, list[Label]]:
    """By the annotation's seq, in the order in which their concepts were made."""
    return _labels(connection, one_of(connection, tables.labels.c.annotation, annotations), "annotation")


def own_labels(connection: Connection, inputs: Sequence[int]) -> dict[int, list[Label]]:
    """Labels of the inputs' own annotations, by the input's seq."""
    own = select(tables.annotations.c.own).where(tables.annotations.c.seq == tables.labels.c.annotation)
    these = (one_of(connection, tables.labels.c.input, inputs), own.scalar_subquery().is_(True))
    return _labels(connection, these, "input")


def all_labels(connection: Connection, inputs: Sequence[int]) -> dict[int, list[Label]]:
    """Labels that any annotation gives, by the input's seq."""
    return _labels(connection, one_of(connection, tables.labels.c.input, inputs), "input")


def remove(connection: Connection, seqs: Sequence[int]) -> None:
    connection.execute(delete(tables.annotations).where(tables.annotations.c.seq.in_(seqs)))


def of_inputs(connection: Connection, app: int, input_ids: Sequence[str]) -> list[AnnotationRow]:
    """All of these inputs' annotations but their own."""
    query = _in_app(app).where(tables.inputs.c.id.in_(input_ids), tables.annotations.c.own.is_(False))
    return _rows(connection, query)


def _counts(item: NewAnnotation, status: int) -> bool:
    return (item.status or status) == COUNTING


def _add_labels(connection: Connection, given: Sequence[tuple[int, int, Mapping[int, int]]], *, counting: bool) -> None:
    rows = [
        {"annotation": annotation, "concept": concept, "input": input, "value": value, "counting": counting}
        for annotation, input, labels in given
        for concept, value in labels.items()
    ]
    insert_rows(connection, tables.labels, rows)


def _labels(connection: Connection, where: Any, key: str) -> dict[int, list[Label]]:
    labels, concepts = tables.labels.c, tables.concepts.c
    conditions = where if isinstance(where, tuple) else (where,)
    query = (
        select(labels.annotation, labels.input, concepts.id, concepts.name, labels.value)
        .join(tables.concepts, concepts.seq == labels.concept)
        .where(*conditions)
        .order_by(concepts.seq)
        .execution_options(**BY_KEY)
    )
    found: dict[int, list[Label]] = defaultdict(list)
    for row in connection.execute(query).all():
        label = Label(*row)
        found[getattr(label, key)].append(label)
    return found


def _joined() -> Select[Any]:
    table, inputs = tables.annotations, tables.inputs
    columns = (table.c.seq, table.c.input, inputs.c.id, table.c.id, table.c.user, table.c.status, table.c.own)
    rest = (table.c.message, table.c.created_at, table.c.modified_at)
    return select(*columns, *rest).join(inputs, inputs.c.seq == table.c.input)


def _in_app(app: int) -> Select[Any]:
    return _joined().where(tables.annotations.c.app == app)


def _rows(connection: Connection, query: Select[Any]) -> list[AnnotationRow]:
    return [AnnotationRow(*row) for row in connection.execute(query)]
