"""What an import stores of an input: its message, and that of its own annotation. Next: `worker/importing`.

Plain values come in, bytes go out, so that the worker knows no message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2


@dataclass(frozen=True)
class ImportedRegion:
    """`kind` and `points` as in a manifest's Region. A mask: its PNG's SHA-256, width and height in pixels."""

    kind: str  # box, polygon, point, mask or span
    concept: str
    points: tuple[float, ...] = ()
    mask: tuple[str, int, int] | None = None
    object: str = ""  # equal for the parts of one object


def input_message(metadata: Mapping[str, Any], geo: tuple[float, float] | None = None, url: str = "") -> bytes:
    """`geo`: longitude, latitude; `url`: the masked address of a picture that is to be fetched."""
    kept = resources_pb2.Input()
    if geo:
        kept.data.geo.geo_point.longitude, kept.data.geo.geo_point.latitude = geo
    if url:
        kept.data.image.url = url
    if metadata:
        kept.data.metadata.update(metadata)
    return bytes(kept.SerializeToString(deterministic=True))


def annotation_message(regions: Sequence[ImportedRegion]) -> tuple[bytes, list[tuple[float, ...]]]:
    """The message, and the points of each region as they stand in it: numbers of 32 bits, which nine digits name."""
    made = resources_pb2.Annotation(data=resources_pb2.Data())
    for number, region in enumerate(regions, start=1):
        kept = made.data.regions.add(id=str(number), track_id=region.object)
        _place(region, kept.region_info)
        kept.data.concepts.add(id=region.concept, name=region.concept, value=1.0)
    points = [_points(kept.region_info) for kept in made.data.regions]
    return made.SerializeToString(deterministic=True), points


def _place(region: ImportedRegion, info: resources_pb2.RegionInfo) -> None:
    points = region.points
    match region.kind:
        case "box":
            box = info.bounding_box
            box.left_col, box.top_row, box.right_col, box.bottom_row = points
        case "polygon":
            for col, row in zip(points[::2], points[1::2], strict=True):
                info.polygon.points.add(row=row, col=col)
        case "point":
            info.point.col, info.point.row = points
        case "span":
            info.span.char_start, info.span.char_end = int(points[0]), int(points[1])
        case "mask" if region.mask:
            info.mask.image.url, width, height = region.mask
            picture = info.mask.image.image_info
            picture.width, picture.height, picture.format = width, height, "PNG"
        case other:
            raise ValueError(f"a region of kind {other!r} has no form on the wire")


def _points(info: resources_pb2.RegionInfo) -> tuple[float, ...]:
    box, span = info.bounding_box, info.span
    if info.HasField("span"):
        return (span.char_start, span.char_end)
    if info.HasField("bounding_box"):
        numbers = [box.left_col, box.top_row, box.right_col, box.bottom_row]
    else:
        points = [info.point] if info.HasField("point") else list(info.polygon.points)
        numbers = [number for point in points for number in (point.col, point.row)]
    return tuple(float(f"{number:.9g}") for number in numbers)
