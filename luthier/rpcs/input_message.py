"""An Input as it arrives and as it is shown: what becomes columns, bytes, labels, message. Next: `inputs`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.struct_pb2 import Struct

from luthier.errors import InvalidInput, InvalidUrl, LuthierError, UnsupportedFormat, shown
from luthier.rpcs import codes, media, memberships, regions
from luthier.rpcs.context import Context, status, status_of_error, timestamp
from luthier.rpcs.ids import label_id, new_id
from luthier.rpcs.labels import Label, labels_of, shown_labels
from luthier.rpcs.patching import check, check_metadata
from luthier.settings import Settings
from luthier.store import annotations, datasets, urls
from luthier.store.database import Connection
from luthier.store.inputs import InputRow, NewInput
from luthier.store.resources import AppRow
from luthier.store.secrets import media_named_by, signed_media_url
from luthier.store.urls import Url

LONGEST_TEXT_IN_A_LIST = 64 * 1024  # bytes; GetInput shows the whole text
_SPLITS = {"": "", "train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Sent:
    """A new input that has passed every check that needs no database. With a `url` its bytes are still to come."""

    content: "Content"
    id: str
    split: str
    message: bytes
    labels: dict[str, Label]
    regions: regions.Sent
    dataset_ids: tuple[str, ...]

    def row(self, blob: str) -> NewInput:
        content, shape = self.content, self.content.header
        ready = content.kind == "text" and not content.url  # a text has nothing to decode
        code = codes.INPUT_GOOD if ready else codes.INPUT_PENDING
        picture = (shape.format, shape.width, shape.height)
        return NewInput(self.id, content.kind, blob, content.size, *picture, self.split, code, self.message)


@dataclass(frozen=True)
class Content:
    """Bytes with what their header says, or where they are to be fetched from, or the blob that they are already."""

    kind: str  # image or text
    header: media.Header
    size: int = 0  # bytes
    data: bytes = b""
    blob: str = ""
    url: Url | None = None
    again: bool = False  # the same URL may be there already


def read(ctx: Context, sent: resources_pb2.Input) -> Sent:
    """Checks one item of PostInputs; raises the LuthierError that its status shall show."""
    dataset_ids = memberships.wanted(sent.dataset_ids)
    content = _content(ctx, sent.data)
    kept = resources_pb2.Input()
    if content.url:
        getattr(kept.data, content.kind).url = content.url.masked
    if sent.data.HasField("metadata"):
        kept.data.metadata.CopyFrom(sent.data.metadata)
    if sent.data.HasField("geo"):
        kept.data.geo.CopyFrom(sent.data.geo)
    split = check_kept(kept)
    found = _regions(sent.data.regions, content)
    return Sent(
        content=replace(content, data=b"") if content.blob else content,  # 128 of those never stand in memory at once
        id=label_id(sent.id, "inputs.id") if sent.id else new_id(),
        split=split,
        message=kept.SerializeToString(),
        labels=labels_of(sent.data.concepts),
        regions=found,
        dataset_ids=dataset_ids,
    )


def _regions(sent: Sequence[resources_pb2.Region], content: "Content") -> regions.Sent:
    found = regions.read(sent)
    regions.check_fit(found.regions, content.kind, content.header.width, content.header.height)
    if content.kind == "text" and found.regions:
        regions.check_spans(found.regions, None if content.url else content.data.decode())
    return found


def check_kept(kept: resources_pb2.Input) -> str:
    """Checks what stays a message; returns the split that its metadata pins, or ""."""
    check_metadata(kept.data.metadata, "data.metadata")
    if kept.data.HasField("geo"):
        _check_geo(kept.data)
    check(kept)
    return _split(kept.data.metadata)


def _content(ctx: Context, data: resources_pb2.Data) -> Content:
    kinds = [name for name in ("image", "text", "video", "audio") if data.HasField(name)]
    if len(kinds) != 1:
        raise InvalidInput(f"data holds {' and '.join(kinds) or 'no content'}; give exactly one of image and text")
    if kinds[0] in ("video", "audio"):
        raise UnsupportedFormat(f"data.{kinds[0]} is not taken; send an image or a text")
    url = getattr(data, kinds[0]).url
    if sha := media_named_by(ctx.settings, url):
        return _our_own(ctx, kinds[0], sha)
    if url:
        return _of_url(ctx.settings, kinds[0], data)
    if kinds == ["image"]:
        return _of_bytes(ctx, "image", data.image.base64)
    return _of_bytes(ctx, "text", data.text.raw.encode())


def _of_bytes(ctx: Context, kind: str, data: bytes) -> Content:
    most = ctx.settings.max_input_mb
    if kind == "image":
        return Content("image", media.read_image(data, most), len(data), data)
    text = media.read_text(data, most)
    return Content("text", media.Header("TEXT", 0, 0), len(text), text)


def _our_own(ctx: Context, kind: str, sha: str) -> Content:
    """An input as it was listed, sent again, maybe to another app: nothing is fetched for it."""
    try:
        data = ctx.blobs.read(sha)
    except FileNotFoundError as error:
        raise InvalidUrl("the file that this URL led to has been deleted; send the content itself") from error
    content = _of_bytes(ctx, kind, data)
    if content.size != len(data):
        return content  # a file that begins with a byte order mark, which no text that came as an input does
    ctx.blobs.put(data)  # its grace time with the garbage collection begins anew
    return replace(content, blob=sha)


def _of_url(settings: Settings, kind: str, data: resources_pb2.Data) -> Content:
    if data.image.base64 or data.text.raw:
        raise InvalidInput(f"data.{kind} holds a URL and the content; give one of them")
    sent = getattr(data, kind)
    url = urls.parse(sent.url)
    urls.rules(settings).check(url)
    return Content(kind, media.Header("", 0, 0), url=url, again=sent.allow_duplicate_url)


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


def _check_geo(data: resources_pb2.Data) -> None:
    """An input is at a point: limits and boxes belong to searches and are not kept."""
    data.geo.ClearField("geo_limit")
    data.geo.ClearField("geo_box")
    for name, most in (("longitude", 180), ("latitude", 90)):
        value = getattr(data.geo.geo_point, name)
        if not math.isfinite(value) or abs(value) > most:
            raise InvalidInput(f"data.geo.geo_point.{name} is {value}; give -{most} to {most}")
    if not data.geo.HasField("geo_point"):
        data.ClearField("geo")


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
    if row.blob:
        _show_address(ctx, getattr(shown_input.data, row.kind), row.blob)
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


def _show_address(ctx: Context, content: resources_pb2.Image | resources_pb2.Text, blob: str) -> None:
    """Where the bytes can be downloaded. One that came by URL shows this address too: the SDK's `download_inputs`

    sends its token to whatever host stands there, and what we have is what we were sent.
    """
    hosted = content.hosted
    hosted.prefix, hosted.suffix = signed_media_url(ctx.settings, blob)
    hosted.sizes.append("orig")
    content.url = f"{hosted.prefix}/orig/{hosted.suffix}"
