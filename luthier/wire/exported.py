"""Inputs as the wire's InputBatch, in both forms of Clarifai's data format. Next: `worker/export_job`, which fills it.

Only `id` and `data` of an input are set, as the wire says of exports. Plain values come in, bytes go out, so that the
worker knows no message.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.json_format import MessageToDict

PROTOBUF_TYPE = b"application/x.clarifai-data+protobuf"  # the published SDK asks for this text, byte for byte
JSON_TYPE = b"application/x.clarifai-data+json"

_ZEROS = {  # what JSON leaves out where it is 0, and what a reader would take for missing
    "concepts": ("value",),
    "bounding_box": ("top_row", "left_col", "bottom_row", "right_col"),
    "points": ("row", "col"),
    "point": ("row", "col"),
    "span": ("char_start", "char_end"),
}


@dataclass(frozen=True)
class ExportedConcept:
    id: str
    name: str
    value: int = 1  # 1 positive, 0 negative


@dataclass(frozen=True)
class ExportedRegion:
    """`kind` and `points` as in a manifest's Region; `png` holds a mask's picture."""

    kind: str
    concept: ExportedConcept
    points: tuple[float, ...] = ()
    png: bytes = b""


@dataclass(frozen=True)
class ExportedInput:
    """`url` is where its bytes are: prefix/orig/suffix. `message` is its stored message, for metadata and place."""

    id: str
    kind: str  # image or text
    url: tuple[str, str] | None
    width: int = 0
    height: int = 0
    format: str = ""
    text: str = ""
    concepts: tuple[ExportedConcept, ...] = ()
    regions: tuple[ExportedRegion, ...] = field(default=())
    message: bytes = b""


def protobuf_batch(inputs: Sequence[ExportedInput]) -> bytes:
    return bytes(resources_pb2.InputBatch(inputs=map(_input, inputs)).SerializeToString(deterministic=True))


def json_batch(inputs: Sequence[ExportedInput]) -> bytes:
    """Names as in the proto; numbers that mean something are written even where they are 0."""
    batch = MessageToDict(resources_pb2.InputBatch(inputs=map(_input, inputs)), preserving_proto_field_name=True)
    for one in batch.get("inputs", []):
        metadata = one["data"].pop("metadata", None)  # the user's own names
        for name, part in _parts(one):
            for key in _ZEROS.get(name, ()):
                part.setdefault(key, 0)
        if metadata is not None:
            one["data"]["metadata"] = metadata
    return json.dumps(batch, ensure_ascii=False, separators=(",", ":")).encode()


def _parts(value: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object below `value`, with the name of the field that holds it."""
    for name, inner in list(value.items()):
        for part in inner if isinstance(inner, list) else [inner]:
            if isinstance(part, dict):
                yield name, part
                yield from _parts(part)


def _input(exported: ExportedInput) -> resources_pb2.Input:
    made, kept = resources_pb2.Input(id=exported.id), resources_pb2.Input.FromString(exported.message).data
    data = made.data
    if exported.kind == "text":
        data.text.raw, data.text.text_info.encoding = exported.text, "UTF-8"
    else:
        info = data.image.image_info
        info.width, info.height, info.format = exported.width, exported.height, exported.format
    if exported.url:
        prefix, suffix = exported.url
        getattr(data, exported.kind).url = f"{prefix}/orig/{suffix}"
        hosted = getattr(data, exported.kind).hosted
        hosted.prefix, hosted.suffix = prefix, suffix
        hosted.sizes.append("orig")
    data.concepts.extend(map(_concept, exported.concepts))
    data.regions.extend(_region(region, number) for number, region in enumerate(exported.regions, start=1))
    if kept.HasField("metadata"):
        data.metadata.CopyFrom(kept.metadata)
    if kept.HasField("geo"):
        data.geo.CopyFrom(kept.geo)
    return made


def _concept(concept: ExportedConcept) -> resources_pb2.Concept:
    return resources_pb2.Concept(id=concept.id, name=concept.name, value=concept.value)


def _region(region: ExportedRegion, number: int) -> resources_pb2.Region:
    made = resources_pb2.Region(id=str(number))
    info, points = made.region_info, region.points
    match region.kind:
        case "box":
            box = info.bounding_box
            box.left_col, box.top_row, box.right_col, box.bottom_row = points
        case "polygon":
            for col, row in zip(points[::2], points[1::2], strict=True):
                info.polygon.points.add(row=row, col=col)
        case "mask":
            info.mask.image.base64 = region.png
        case "span":
            info.span.char_start, info.span.char_end = int(points[0]), int(points[1])
        case "point":
            info.point.col, info.point.row = points
        case other:
            raise ValueError(f"a region of kind {other!r} has no form on the wire")
    made.data.concepts.append(_concept(region.concept))
    return made
