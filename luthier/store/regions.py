"""Regions of annotations as rows: what freezing and searching read of them. Next: `snapshots`, which freezes.

Answers are made of the annotations' messages; what rooms that know no message need stands here beside them, one row
per annotation that has regions. A concept that is deleted takes its labels with it, here and in every answer.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from luthier.store.database import one_of
from luthier.store.tables import annotations, concepts, masks, region_labels, regions

COUNTING = 24150  # wire status of an annotation that counts
_NAMED_AT_ONCE = 10_000  # databases take some 32,000 parameters in a statement


@dataclass(frozen=True, slots=True)
class RegionRow:
    """Place and labels of a region. `labels`: concept seq -> 1 or 0. `blob`: SHA-256 of a mask's PNG.

    `kind` is box, polygon, point, mask or span; `points` are left, top, right, bottom of a box; x, y, x, y, … of a
    polygon, x, y of a point, as fractions of the upright picture; start, end of a span in characters, end excluded.
    Regions of an annotation with the same `object`, unless "", are parts of one object.
    """

    kind: str
    points: tuple[float, ...] = ()
    labels: Mapping[int, int] = field(default_factory=dict)
    blob: str = ""
    object: str = ""


Given = tuple[int, int, Sequence[RegionRow]]  # annotation, input, its regions


def add(connection: Connection, given: Iterable[Given]) -> None:
    """For annotations that have none yet."""
    some = [one for one in given if one[2]]
    if not some:
        return
    rows = [{"annotation": note, "input": input, "rows": packed(found)} for note, input, found in some]
    connection.execute(insert(regions), rows)
    named = [
        {"annotation": note, "input": input, "concept": concept, "kind": kind, "value": value}
        for note, input, found in some
        for concept, kind, value in sorted({(c, row.kind, v) for row in found for c, v in row.labels.items()})
    ]
    if named:
        connection.execute(insert(region_labels), named)
    blobs = [
        {"annotation": note, "blob": blob}
        for note, _, found in some
        for blob in sorted({row.blob for row in found if row.blob})
    ]
    if blobs:
        connection.execute(insert(masks), blobs)


def replace(connection: Connection, given: Sequence[Given]) -> None:
    """These and no others."""
    for table in (regions, region_labels, masks) if given else ():
        connection.execute(delete(table).where(table.c.annotation.in_([annotation for annotation, _, _ in given])))
    add(connection, given)


def names_of(connection: Connection, notes: Sequence[int]) -> dict[int, dict[str, str]]:
    """By annotation: id -> name of the concepts that its regions carry."""
    query = (
        select(region_labels.c.annotation, concepts.c.id, concepts.c.name)
        .join(concepts, concepts.c.seq == region_labels.c.concept)
        .where(region_labels.c.annotation.in_(notes))
    )
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for annotation, id, name in connection.execute(query):
        found[annotation][id] = name
    return found


def of_inputs(connection: Connection, inputs: Sequence[int]) -> Iterator[tuple[int, int, list[RegionRow]]]:
    """(input, annotation, regions) of annotations that count, in the order in which these were made."""
    query = (
        select(regions.c.input, regions.c.annotation, regions.c.rows)
        .join(annotations, annotations.c.seq == regions.c.annotation)
        .where(one_of(connection, regions.c.input, inputs), annotations.c.status == COUNTING)
        .order_by(regions.c.annotation)
    )
    for input, annotation, rows in connection.execute(query):
        yield input, annotation, unpacked(rows)


class Marked(NamedTuple):
    """A region of an input as it is frozen: concepts by id; regions of one `group` above 0 are parts of one object."""

    kind: str
    points: tuple[float, ...]
    labels: dict[str, int]
    blob: str = ""
    group: int = 0


def marked(connection: Connection, inputs: Sequence[int]) -> dict[int, list[Marked]]:
    """By input, in order; concepts that have been deleted are left out."""
    found: dict[int, list[tuple[RegionRow, tuple[int, str]]]] = defaultdict(list)
    for input, annotation, rows in of_inputs(connection, inputs):
        found[input] += [(row, (annotation, row.object)) for row in rows]
    seqs = {seq for rows in found.values() for row, _ in rows for seq in row.labels}
    ids = concept_ids(connection, sorted(seqs))
    return {input: _grouped(rows, ids) for input, rows in found.items()}


def _grouped(rows: Sequence[tuple[RegionRow, tuple[int, str]]], ids: Mapping[int, str]) -> list[Marked]:
    """Objects of several parts are numbered from 1, in order."""
    parts = Counter(object for row, object in rows if row.object)
    numbers: dict[tuple[int, str], int] = {}
    made = []
    for row, object in rows:
        group = numbers.setdefault(object, len(numbers) + 1) if parts[object] > 1 else 0
        labels = {ids[seq]: value for seq, value in row.labels.items() if seq in ids}
        made.append(Marked(row.kind, row.points, labels, row.blob, group))
    return made


def concept_ids(connection: Connection, seqs: Sequence[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for start in range(0, len(seqs), _NAMED_AT_ONCE):
        some = select(concepts.c.seq, concepts.c.id).where(concepts.c.seq.in_(seqs[start : start + _NAMED_AT_ONCE]))
        found |= {int(seq): str(id) for seq, id in connection.execute(some)}
    return found


def packed(rows: Sequence[RegionRow]) -> str:
    """As a JSON list with a list per region, its fields in order."""
    lists = [[row.kind, row.points, row.labels, row.blob, row.object] for row in rows]
    return json.dumps(lists, ensure_ascii=False, separators=(",", ":"))


def unpacked(rows: str) -> list[RegionRow]:
    return [
        RegionRow(kind, tuple(points), {int(seq): value for seq, value in labels.items()}, blob, object)
        for kind, points, labels, blob, object in json.loads(rows)
    ]
