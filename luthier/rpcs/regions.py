"""Boxes, polygons and points of annotations: checked here, kept in the annotation's message. Next: `annotations`.

Coordinates are fractions of the upright picture, from 0 to 1. Polygons may cross themselves; consecutive points that
are equal are one point.
"""

import math
from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import InvalidAnnotation, InvalidConcept
from luthier.rpcs.ids import new_id, plain_id
from luthier.rpcs.labels import Label, labels_of

OVERSHOOT = 1e-6  # rounding that is forgiven outside 0..1
MOST_REGIONS = 1000
MOST_POINTS = 10_000
MOST_BYTES = 1024 * 1024  # of all regions of an annotation, as a message
_SIDES = ("top_row", "left_col", "bottom_row", "right_col")


def regions_of(sent: Sequence[resources_pb2.Region], kind: str = "image") -> list[resources_pb2.Region]:
    """Clean copies, each with an id. Raises InvalidAnnotation naming region and coordinate."""
    if sent and kind != "image":
        raise InvalidAnnotation(f"data.regions mark places in pictures; this input is a {kind}")
    if len(sent) > MOST_REGIONS:
        raise InvalidAnnotation(f"data.regions holds {len(sent)} regions; at most {MOST_REGIONS} are kept")
    return check_total([_region(region, f"data.regions[{number}]") for number, region in enumerate(sent)])


def check_total(regions: list[resources_pb2.Region]) -> list[resources_pb2.Region]:
    size = sum(region.ByteSize() for region in regions)
    if len(regions) > MOST_REGIONS or size > MOST_BYTES:
        raise InvalidAnnotation(
            f"there are {len(regions)} regions of {size} bytes together; the most are {MOST_REGIONS} of {MOST_BYTES}"
        )
    return regions


def concepts_of(regions: Sequence[resources_pb2.Region]) -> dict[str, Label]:
    """What the regions name, for making concepts that are not there; values play no part."""
    return {concept.id: Label(concept.name, 1) for region in regions for concept in region.data.concepts}


def patched(
    current: Sequence[resources_pb2.Region], change: Sequence[resources_pb2.Region], action: str
) -> list[resources_pb2.Region]:
    """Regions after a merge or remove (by id) or overwrite."""
    if action == "overwrite":
        return list(change)
    named = {region.id for region in change}
    rest = [region for region in current if region.id not in named]
    return rest if action == "remove" else check_total([*rest, *change])


def _region(sent: resources_pb2.Region, where: str) -> resources_pb2.Region:
    region = resources_pb2.Region(id=plain_id(sent.id, f"{where}.id") if sent.id else new_id(), track_id=sent.track_id)
    kinds = [field.name for field, _ in sent.region_info.ListFields()]
    if kinds not in (["bounding_box"], ["polygon"], ["point"]):
        raise InvalidAnnotation(f"{where}.region_info holds {kinds}; give one of bounding_box, polygon, point")
    if kinds == ["bounding_box"]:
        region.region_info.bounding_box.CopyFrom(_box(sent.region_info.bounding_box, f"{where}.bounding_box"))
    elif kinds == ["polygon"]:
        region.region_info.polygon.points.extend(_polygon(sent.region_info.polygon.points, f"{where}.polygon"))
    else:
        region.region_info.point.CopyFrom(_point(sent.region_info.point, f"{where}.point"))
    for id, label in _labels(sent, where).items():
        region.data.concepts.add(id=id, name=label.name, value=float(label.value))
    return region


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
