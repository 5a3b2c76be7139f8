"""Reads the regions that the first release kept in annotations' messages alone. Next: `versions/v0002_the_whole_wire`.

This room knows no message, and a migration must read what was written then whatever messages look like later: so the
fields are read by number, as protobuf's encoding has them (https://protobuf.dev/programming-guides/encoding/).
"""

import json
import struct
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

_ROWS = 500
_EMPTY = 2  # bytes of a message that holds nothing but an empty `data`
_META = sa.MetaData()
_ANNOTATIONS = sa.Table(
    "annotations", _META, *(sa.Column(n, sa.BigInteger) for n in ("seq", "app", "input")), sa.Column("message", sa.BLOB)
)
_CONCEPTS = sa.Table(
    "concepts", _META, *(sa.Column(n, sa.BigInteger) for n in ("seq", "app")), sa.Column("id", sa.String)
)
_REGIONS = sa.Table(
    "regions", _META, *(sa.Column(n, sa.BigInteger) for n in ("annotation", "input")), sa.Column("rows", sa.Text)
)
_LABELS = sa.Table(
    "region_labels",
    _META,
    *(sa.Column(n, sa.BigInteger) for n in ("annotation", "concept", "input", "value")),
    sa.Column("kind", sa.String),
)

Region = tuple[str, list[float], dict[str, int], str]  # kind, points, value by concept id, track


def read_regions(connection: sa.Connection) -> None:
    """Fills `regions` and `region_labels` from every annotation's message."""
    after = 0
    notes = _ANNOTATIONS.c
    while True:
        query = sa.select(_ANNOTATIONS).where(notes.seq > after, sa.func.length(notes.message) > _EMPTY)
        rows = connection.execute(query.order_by(notes.seq).limit(_ROWS)).all()
        for row in rows:
            after = row.seq
            _keep(connection, row, list(regions_of(bytes(row.message))))
        if len(rows) < _ROWS:
            return


def regions_of(message: bytes) -> Iterator[Region]:
    """Of an Annotation: data is field 3 of it, regions field 11 of that."""
    for data in _all(message, 3):
        for region in _all(data, 11):
            info = _one(region, 2)
            labels = {_one(concept, 1).decode(): int(_float(concept, 3)) for concept in _concepts(region)}
            track = _one(region, 5).decode()
            for kind, points in _places(info):
                yield kind, points, labels, track


def _keep(connection: sa.Connection, row: Any, found: list[Region]) -> None:
    if not found:
        return
    ids = sorted({id for region in found for id in region[2]})
    concepts = sa.select(_CONCEPTS.c.id, _CONCEPTS.c.seq).where(_CONCEPTS.c.app == row.app, _CONCEPTS.c.id.in_(ids))
    seqs = {str(id): int(seq) for id, seq in connection.execute(concepts)}
    lists: list[list[Any]] = [
        [kind, points, {seqs[id]: value for id, value in labels.items() if id in seqs}, "", track]
        for kind, points, labels, track in found
    ]
    place = {"annotation": row.seq, "input": row.input}
    connection.execute(sa.insert(_REGIONS).values(**place, rows=json.dumps(lists, separators=(",", ":"))))
    named = sorted({(seq, kind, value) for kind, _, labels, _, _ in lists for seq, value in labels.items()})
    if named:
        rows = [{**place, "concept": seq, "kind": kind, "value": value} for seq, kind, value in named]
        connection.execute(sa.insert(_LABELS), rows)


def _places(info: bytes) -> Iterator[tuple[str, list[float]]]:
    for box in _all(info, 1):
        top, left, bottom, right = (_float(box, number) for number in (1, 2, 3, 4))
        yield "box", [left, top, right, bottom]
    for polygon in _all(info, 5):
        yield "polygon", [side for point in _all(polygon, 1) for side in _point(point)]
    for point in _all(info, 6):
        yield "point", _point(point)


def _point(point: bytes) -> list[float]:
    return [_float(point, 2), _float(point, 1)]  # x is the column


def _concepts(region: bytes) -> list[bytes]:
    return [concept for data in _all(region, 3) for concept in _all(data, 3)]


def _float(message: bytes, number: int) -> float:
    """Nine digits name every number of 32 bits and no other."""
    found = [value for field, value in _fields(message) if field == number]
    return float(f"{struct.unpack('<f', found[-1])[0]:.9g}") if found else 0.0


def _one(message: bytes, number: int) -> bytes:
    found = _all(message, number)
    return found[-1] if found else b""


def _all(message: bytes, number: int) -> list[bytes]:
    return [value for field, value in _fields(message) if field == number]


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of each field; of whole numbers the bytes are left out."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            _, position = _varint(message, position)
            yield number, b""
            continue
        length = {1: 8, 5: 4}.get(wire, 0)
        if wire == 2:
            length, position = _varint(message, position)
        yield number, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
