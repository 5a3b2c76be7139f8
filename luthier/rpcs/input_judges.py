"""What a search asks that only a look at an input tells: its metadata, its place, its text. Next: `input_searches`."""

import math
from collections.abc import Callable, Iterator, Sequence

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.struct_pb2 import Struct

from luthier.errors import InvalidRequest, shown
from luthier.store.blobs import Blobs
from luthier.store.input_filter import Judge
from luthier.store.inputs import InputRow

LONGEST_TEXT = 1000  # characters that a search looks for
_MOST_ENTRIES = 50  # that SQL looks for; databases limit how much one statement may ask
_EARTH_KM = 6371.0
_KM = {  # in one unit of a limit
    "withinKilometers": 1.0,
    "withinMiles": 1.609344,
    "withinDegrees": _EARTH_KM * math.pi / 180,
    "withinRadians": _EARTH_KM,
}

Keep = Callable[[InputRow], bool]


def all_of(judges: Sequence[Judge]) -> Judge | None:
    """None where there is nothing to judge."""
    if len(judges) < 2:
        return judges[0] if judges else None
    holding = tuple(each for judge in judges for each in judge.holding)
    return Judge(lambda row: all(judge.keep(row) for judge in judges), holding)


def metadata_holds(wanted: Struct) -> Judge:
    """One of the keys with its value, as the wire says: keys are or-ed."""

    def keep(row: InputRow) -> bool:
        have = resources_pb2.Input.FromString(row.message).data.metadata.fields
        return any(key in have and have[key] == value for key, value in wanted.fields.items())

    return Judge(keep, (tuple(_entries(wanted)),) if len(wanted.fields) <= _MOST_ENTRIES else ())


def _entries(wanted: Struct) -> Iterator[bytes]:
    """For each key what a message that holds it with its value contains: the entry as it is serialised, or its key."""
    for key, value in wanted.fields.items():
        entry = Struct(fields={key: value}).SerializeToString()
        entry = entry[_varint_end(entry, 1) :]
        plain = value.WhichOneof("kind") in ("string_value", "bool_value", "null_value") or value.number_value != 0
        yield entry if plain else entry[: _varint_end(entry, 1) + len(key.encode())]  # 0.0 is -0.0 in other bytes


def _varint_end(data: bytes, at: int) -> int:
    while data[at] & 0x80:
        at += 1
    return at + 1


def text_contains(wanted: str, blobs: Blobs) -> Judge:
    """Letter case is ignored. Reads every text that has passed the other filters. Raises InvalidRequest."""
    if len(wanted) > LONGEST_TEXT:
        raise InvalidRequest(f"text.raw has {len(wanted)} characters; a search looks for at most {LONGEST_TEXT}")
    folded = wanted.casefold()

    def keep(row: InputRow) -> bool:
        return bool(row.blob) and folded in blobs.read(row.blob).decode(errors="replace").casefold()

    return Judge(keep)


def is_near(geo: resources_pb2.Geo) -> Judge:
    """Within `geo_limit` of `geo_point`, or in the box between two points. Raises InvalidRequest."""
    holds = _in_box(geo) if geo.geo_box else _in_circle(geo)

    def keep(row: InputRow) -> bool:
        have = resources_pb2.Input.FromString(row.message).data
        return have.HasField("geo") and have.geo.HasField("geo_point") and holds(have.geo.geo_point)

    return Judge(keep)


def _in_circle(geo: resources_pb2.Geo) -> Callable[[resources_pb2.GeoPoint], bool]:
    limit = geo.geo_limit
    if not geo.HasField("geo_point") or limit.type not in _KM or not 0 <= limit.value < math.inf:
        raise InvalidRequest(
            "geo of a filter needs geo_point and geo_limit with a value from 0 up and one of the types "
            f"{', '.join(_KM)}; given: {shown(limit.type)!r}, {limit.value}"
        )
    _check(geo.geo_point)
    return lambda point: _distance_km(geo.geo_point, point) <= limit.value * _KM[limit.type]


def _in_box(geo: resources_pb2.Geo) -> Callable[[resources_pb2.GeoPoint], bool]:
    points = [corner.geo_point for corner in geo.geo_box]
    if len(points) != 2 or geo.HasField("geo_point"):
        raise InvalidRequest(f"geo_box of a filter needs two opposite corners and no geo_point; it has {len(points)}")
    for point in points:
        _check(point)
    west, east = sorted(point.longitude for point in points)
    south, north = sorted(point.latitude for point in points)
    return lambda point: west <= point.longitude <= east and south <= point.latitude <= north


def _check(point: resources_pb2.GeoPoint) -> None:
    for name, most in (("longitude", 180), ("latitude", 90)):
        value = getattr(point, name)
        if not abs(value) <= most:
            raise InvalidRequest(f"{name} of a filter's point is {value}; give -{most} to {most}")


def _distance_km(one: resources_pb2.GeoPoint, other: resources_pb2.GeoPoint) -> float:
    """Along the surface, by the haversine formula."""
    first, second = math.radians(one.latitude), math.radians(other.latitude)
    across = math.radians(other.longitude - one.longitude)
    part = math.sin((second - first) / 2) ** 2 + math.cos(first) * math.cos(second) * math.sin(across / 2) ** 2
    return 2 * _EARTH_KM * math.asin(math.sqrt(min(1.0, part)))
