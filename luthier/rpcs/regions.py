"""Boxes, polygons, points, masks and spans, checked. Next: `masks`, `region_patches`, `marked`, `annotations`.

Coordinates are fractions of the upright picture, from 0 to 1. Polygons may cross themselves; consecutive points that
are equal are one point. Spans count the characters of a text, the end excluded. Regions of one annotation that share a
track_id are parts of one object.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import InvalidAnnotation, InvalidConcept, shown
from luthier.rpcs import masks
from luthier.rpcs.ids import new_id, plain_id
from luthier.rpcs.labels import Label, labels_of
from luthier.store.regions import RegionRow

OVERSHOOT = 1e-6  # rounding that is forgiven outside 0..1
MOST_REGIONS = 1000
MOST_POINTS = 10_000
MOST_BYTES = 1024 * 1024  # of all regions of an annotation, as a message; pictures of masks are not in it
MOST_TRACK_ID = 128  # characters
KINDS = {"bounding_box": "box", "polygon": "polygon", "point": "point", "mask": "mask", "span": "span"}
_SIDES = ("top_row", "left_col", "bottom_row", "right_col")


@dataclass(frozen=True)
class Sent:
    """Clean regions, each with an id, and the PNGs of their masks, which the messages name by their SHA-256."""

    regions: list[resources_pb2.Region] = field(default_factory=list)
    pngs: list[bytes] = field(default_factory=list)


def read(sent: Sequence[resources_pb2.Region], *, partial: bool = False) -> Sent:
    """Raises InvalidAnnotation naming region and coordinate. `partial`: one with an id may come without a place."""
    if len(sent) > MOST_REGIONS:
        raise InvalidAnnotation(f"data.regions holds {len(sent)} regions; at most {MOST_REGIONS} are kept")
    found = Sent()
    for number, region in enumerate(sent):
        found.regions.append(_region(region, f"data.regions[{number}]", found.pngs, partial))
    check_total(found.regions)
    return found


def check_total(regions: list[resources_pb2.Region]) -> list[resources_pb2.Region]:
    size = sum(region.ByteSize() for region in regions)
    if len(regions) > MOST_REGIONS or size > MOST_BYTES:
        raise InvalidAnnotation(
            f"there are {len(regions)} regions of {size} bytes together; the most are {MOST_REGIONS} of {MOST_BYTES}"
        )
    return regions


def check_fit(regions: Sequence[resources_pb2.Region], kind: str, width: int, height: int) -> None:
    """Raises InvalidAnnotation for a box on a text, a span on a picture, a mask of another size than the picture's.

    `kind` is the input's; width and height are the upright picture's in pixels, 0 where nobody knows them yet.
    """
    for number, region in enumerate(regions):
        where, place = f"data.regions[{number}]", kind_of(region)
        if place and (place == "span") != (kind == "text"):
            what = "a span marks characters of a text" if place == "span" else f"a {place} marks a place in a picture"
            raise InvalidAnnotation(f"{where}: {what}; this input is a{'n' if kind == 'image' else ''} {kind}")
        if place == "mask":
            masks.check_size(region.region_info.mask, (width, height), f"{where}.mask")


def check_spans(regions: Sequence[resources_pb2.Region], text: str | None) -> None:
    """Raises InvalidAnnotation for a span that is not in the text; None is a text that is still to be fetched."""
    for number, region in enumerate(regions):
        if region.region_info.HasField("span"):
            _check_span(region.region_info.span, text, f"data.regions[{number}].span")


def kind_of(region: resources_pb2.Region) -> str:
    """box, polygon, point, mask or span; "" for a region without a place."""
    return next((KINDS[field.name] for field, _ in region.region_info.ListFields()), "")


def concepts_of(regions: Sequence[resources_pb2.Region]) -> dict[str, Label]:
    """What the regions name, for making concepts that are not there; values play no part."""
    return {concept.id: Label(concept.name, 1) for region in regions for concept in region.data.concepts}


def rows_of(regions: Sequence[resources_pb2.Region], seqs: Mapping[str, int]) -> list[RegionRow]:
    """What the store keeps beside the message; `seqs` of every concept that the regions name, by id."""
    return [
        RegionRow(
            kind=kind_of(region),
            points=_points(region.region_info),
            labels={seqs[concept.id]: int(concept.value) for concept in region.data.concepts},
            blob=masks.blob_of(region.region_info.mask),
            object=region.track_id,
        )
        for region in regions
    ]


# -- one region --------------------------------------------------------------------------------------------------------


def _region(sent: resources_pb2.Region, where: str, pngs: list[bytes], partial: bool) -> resources_pb2.Region:
    region = resources_pb2.Region(id=plain_id(sent.id, f"{where}.id") if sent.id else new_id())
    if len(sent.track_id) > MOST_TRACK_ID:
        raise InvalidAnnotation(f"{where}.track_id has {len(sent.track_id)} characters; at most {MOST_TRACK_ID}")
    region.track_id = sent.track_id
    kinds = [field.name for field, _ in sent.region_info.ListFields()]
    if not (partial and sent.id and not kinds):
        if len(kinds) != 1 or kinds[0] not in KINDS:
            raise InvalidAnnotation(f"{where}.region_info holds {kinds}; give one of {', '.join(KINDS)}")
        _copy_place(sent.region_info, region.region_info, kinds[0], f"{where}.{kinds[0]}", pngs)
    for id, label in _labels(sent, where).items():
        region.data.concepts.add(id=id, name=label.name, value=float(label.value))
    return region


def _copy_place(
    sent: resources_pb2.RegionInfo, info: resources_pb2.RegionInfo, kind: str, where: str, pngs: list[bytes]
) -> None:
    if kind == "bounding_box":
        info.bounding_box.CopyFrom(_box(sent.bounding_box, where))
    elif kind == "polygon":
        info.polygon.points.extend(_polygon(sent.polygon.points, where))
    elif kind == "point":
        info.point.CopyFrom(_point(sent.point, where))
    elif kind == "span":
        info.span.CopyFrom(sent.span)
    else:
        pngs.append(masks.copy(sent.mask, info.mask, where))


def _labels(sent: resources_pb2.Region, where: str) -> dict[str, Label]:
    try:
        return labels_of(sent.data.concepts, f"{where}.data.concepts")
    except InvalidConcept as error:
        raise InvalidAnnotation(error.details) from error


def _box(sent: resources_pb2.BoundingBox, where: str) -> resources_pb2.BoundingBox:
    top, left, bottom, right = (_fraction(getattr(sent, side), f"{where}.{side}") for side in _SIDES)
    if top >= bottom:
        raise InvalidAnnotation(f"{where}.top_row is {top}, bottom_row {bottom}; top_row must be the smaller")
    if left >= right:
        raise InvalidAnnotation(f"{where}.left_col is {left}, right_col {right}; left_col must be the smaller")
    return resources_pb2.BoundingBox(top_row=top, left_col=left, bottom_row=bottom, right_col=right)


def _polygon(sent: Sequence[resources_pb2.Point], where: str) -> list[resources_pb2.Point]:
    if len(sent) > MOST_POINTS:
        raise InvalidAnnotation(f"{where} has {len(sent)} points; at most {MOST_POINTS} are kept")
    points: list[resources_pb2.Point] = []
    for number, point in enumerate(sent):
        clean = _point(point, f"{where}.points[{number}]")
        if not points or (clean.row, clean.col) != (points[-1].row, points[-1].col):
            points.append(clean)
    if len({(point.row, point.col) for point in points}) < 3:
        raise InvalidAnnotation(f"{where} has fewer than three different points")
    return points


def _point(sent: resources_pb2.Point, where: str) -> resources_pb2.Point:
    row, column = _fraction(sent.row, f"{where}.row"), _fraction(sent.col, f"{where}.col")
    return resources_pb2.Point(row=row, col=column, visibility=sent.visibility)


def _fraction(value: float, where: str) -> float:
    if not math.isfinite(value) or not -OVERSHOOT <= value <= 1 + OVERSHOOT:
        raise InvalidAnnotation(f"{where} is {value}; coordinates are fractions of the picture, from 0 to 1")
    return min(1.0, max(0.0, value))


def _check_span(span: resources_pb2.Span, text: str | None, where: str) -> None:
    start, end = span.char_start, span.char_end
    if text is None:
        raise InvalidAnnotation(f"{where}: the text has not been fetched yet; mark it once its status is 30000")
    if not start < end <= len(text):
        raise InvalidAnnotation(
            f"{where} goes from {start} to {end}; the text has {len(text)} characters, and the end is excluded"
        )
    if span.raw_text and span.raw_text != text[start:end]:
        raise InvalidAnnotation(
            f"{where}.raw_text is {shown(span.raw_text)!r}, characters {start} to {end} of the text are "
            f"{shown(text[start:end])!r}; count characters, not bytes"
        )


def _points(info: resources_pb2.RegionInfo) -> tuple[float, ...]:
    """As the store's RegionRow has them. Nine digits name every number of 32 bits and no other."""
    box, span = info.bounding_box, info.span
    if info.HasField("span"):
        return (span.char_start, span.char_end)
    if info.HasField("bounding_box"):
        numbers = [box.left_col, box.top_row, box.right_col, box.bottom_row]
    else:
        points = [info.point] if info.HasField("point") else info.polygon.points
        numbers = [number for point in points for number in (point.col, point.row)]
    return tuple(float(f"{number:.9g}") for number in numbers)
