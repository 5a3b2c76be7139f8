"""An Input as it arrives and as it is shown: what becomes columns, bytes, labels, message. Next: `inputs`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.struct_pb2 import Struct

from luthier.errors import InvalidInput, LuthierError, UnsupportedFormat, shown
from luthier.rpcs import codes, media
from luthier.rpcs.context import Context, status, status_of_error, timestamp
from luthier.rpcs.ids import label_id, new_id
from luthier.rpcs.labels import Label, labels_of, shown_labels
from luthier.rpcs.patching import check, check_metadata
from luthier.rpcs.regions import regions_of
from luthier.settings import Settings
from luthier.store import annotations, datasets, urls
from luthier.store.database import Connection
from luthier.store.inputs import InputRow, NewInput
from luthier.store.resources import AppRow
from luthier.store.urls import Url

LONGEST_TEXT_IN_A_LIST = 64 * 1024  # bytes; GetInput shows the whole text
MOST_DATASETS = 100  # that one input is put into as it is made
_SPLITS = {"": "", "train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Sent:
    """A new input that has passed every check that needs no database. With a `url` its bytes are still to come."""

    content: "Content"
    id: str
    split: str
    message: bytes
    labels: dict[str, Label]
    regions: list[resources_pb2.Region]
    dataset_ids: tuple[str, ...]

    def row(self, blob: str) -> NewInput:
        content, shape = self.content, self.content.header
        ready = content.kind == "text" and not content.url  # a text has nothing to decode
        code = codes.INPUT_GOOD if ready else codes.INPUT_PENDING
        picture = (shape.format, shape.width, shape.height)
        return NewInput(self.id, content.kind, blob, len(content.data), *picture, self.split, code, self.message)


@dataclass(frozen=True)
class Content:
    """Bytes with what their header says, or where they are to be fetched from."""

    kind: str  # image or text
    header: media.Header
    data: bytes = b""
    url: Url | None = None
    again: bool = False  # the same URL may be there already


def read(sent: resources_pb2.Input, settings: Settings) -> Sent:
    """Checks one item of PostInputs; raises the LuthierError that its status shall show."""
    if len(sent.dataset_ids) > MOST_DATASETS:
        raise InvalidInput(f"dataset_ids names {len(sent.dataset_ids)} datasets; at most {MOST_DATASETS} in one call")
    content = _content(sent.data, settings)
    kept = resources_pb2.Input()
    if content.url:
        getattr(kept.data, content.kind).url = content.url.masked
    if sent.data.HasField("metadata"):
        kept.data.metadata.CopyFrom(sent.data.metadata)
    if sent.data.HasField("geo"):
        kept.data.geo.CopyFrom(sent.data.geo)
    split = check_kept(kept)
    return Sent(
        content=content,
        id=label_id(sent.id, "inputs.id") if sent.id else new_id(),
        split=split,
        message=kept.SerializeToString(),
        labels=labels_of(sent.data.concepts),
        regions=regions_of(sent.data.regions, content.kind),
        dataset_ids=tuple(dict.fromkeys(sent.dataset_ids)),
    )


def check_kept(kept: resources_pb2.Input) -> str:
    """Checks what stays a message; returns the split that its metadata pins, or ""."""
    check_metadata(kept.data.metadata, "data.metadata")
    _check_geo(kept.data.geo)
    check(kept)
    return _split(kept.data.metadata)


def _content(data: resources_pb2.Data, settings: Settings) -> Content:
    kinds = [name for name in ("image", "text", "video", "audio") if data.HasField(name)]
    if len(kinds) != 1:
        raise InvalidInput(f"data holds {' and '.join(kinds) or 'no content'}; give exactly one of image and text")
    if kinds[0] in ("video", "audio"):
        raise UnsupportedFormat(f"data.{kinds[0]} is not taken; send an image or a text")
    sent = getattr(data, kinds[0])
    if sent.url:
        if data.image.base64 or data.text.raw:
            raise InvalidInput(f"data.{kinds[0]} holds a URL and the content; give one of them")
        url = urls.parse(sent.url)
        urls.rules(settings).check(url)
        return Content(kinds[0], media.Header("", 0, 0), url=url, again=sent.allow_duplicate_url)
    if kinds == ["image"]:
        bytes_sent = data.image.base64
        return Content("image", media.read_image(bytes_sent, settings.max_input_mb), bytes_sent)
    return Content("text", media.Header("TEXT", 0, 0), media.read_text(data.text.raw, settings.max_input_mb))


def _split(metadata: Struct) -> str:
    """`metadata.split` pins an input to a split; other values than a split's name are a mistake worth telling."""
    value = metadata.fields.get("split")
    if value is None or value.WhichOneof("kind") in (None, "null_value"):
        return ""
    if value.string_value not in _SPLITS or value.WhichOneof("kind") != "string_value":
        raise InvalidInput(
            f"data.metadata.split is {shown(str(value).strip())!r}; give train, val or test, or leave it out"
        )
    return _SPLITS[value.string_value]


def _check_geo(geo: resources_pb2.Geo) -> None:
    for name, most in (("longitude", 180), ("latitude", 90)):
        value = getattr(geo.geo_point, name)
        if not math.isfinite(value) or abs(value) > most:
            raise InvalidInput(f"data.geo.geo_point.{name} is {value}; give -{most} to {most}")


# -- as it is shown ----------------------------------------------------------------------------------------------------


def failed(sent_id: str, error: LuthierError) -> resources_pb2.Input:
    return resources_pb2.Input(id=sent_id, status=status_of_error(error))


def shown_inputs(
    ctx: Context, connection: Connection, app: AppRow, rows: Sequence[InputRow], *, whole_texts: bool = False
) -> list[resources_pb2.Input]:
    """With the labels of their own annotations and the ids of the datasets that they are in."""
    seqs = [row.seq for row in rows]
    labels = annotations.own_labels(connection, seqs)
    memberships = datasets.datasets_of(connection, seqs)
    most = ctx.settings.max_input_mb * 1024 * 1024 if whole_texts else LONGEST_TEXT_IN_A_LIST
    return [_shown(ctx, app, row, labels.get(row.seq, []), memberships.get(row.seq, []), most) for row in rows]


def _shown(
    ctx: Context, app: AppRow, row: InputRow, labels: list[annotations.Label], dataset_ids: list[str], longest_text: int
) -> resources_pb2.Input:
    shown_input = resources_pb2.Input.FromString(row.message)
    shown_input.id = row.id
    if row.kind == "image":
        info = shown_input.data.image.image_info
        info.width, info.height, info.format = row.width, row.height, row.format
    else:
        shown_input.data.text.text_info.encoding = "UTF-8"
        if row.blob and row.size <= longest_text:
            shown_input.data.text.raw = ctx.blobs.read(row.blob).decode()
    shown_input.data.concepts.extend(shown_labels(labels, app))
    shown_input.dataset_ids.extend(dataset_ids)
    shown_input.status.CopyFrom(status(row.status, details=row.details))
    shown_input.created_at.CopyFrom(timestamp(row.created_at))
    shown_input.modified_at.CopyFrom(timestamp(row.modified_at))
    return shown_input
