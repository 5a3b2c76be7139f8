"""Items of the data, checked and on disk: pictures decoded in full, texts read, masks as PNGs. Next: `rows`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.data.decode_pool import DecodePool, DecodeResult
from luthier.data.mask_png import png_of_runs
from luthier.data.readers.splitting import SPLIT_NAMES
from luthier.data.readers.text_files import read_text
from luthier.errors import (
    InputOverLimit,
    InvalidAnnotation,
    InvalidBytes,
    InvalidConcept,
    InvalidInput,
    LuthierError,
    shown,
)
from luthier.runs.manifest import Example, Region, text_bytes
from luthier.settings import Settings
from luthier.store import urls
from luthier.store.blobs import Blobs
from luthier.store.imports import Request
from luthier.store.urls import Url
from luthier.wire.imported import ImportedRegion
from luthier.worker.importing.source import Found

Labels = dict[str, tuple[str, int]]  # concept id -> name, 1 or 0

AT_ONCE = 64 * 2**20  # bytes that are held
MOST_REGIONS = 1000  # of one input, as over the wire
MOST_METADATA, DEEPEST = 64 * 1024, 8  # bytes as JSON, levels
TEXT_ENDING = ".txt"


@dataclass(frozen=True)
class Ready:
    """An item that can become an input: its bytes are on disk under `blob`, or to be fetched."""

    found: Found
    id: str
    kind: str  # image or text
    blob: str
    size: int  # bytes
    format: str
    width: int  # upright, pixels; 0 for a text
    height: int
    labels: Labels
    metadata: dict[str, Any]
    regions: tuple[ImportedRegion, ...]
    url: Url | None = None  # then it has no bytes yet

    @property
    def split(self) -> str:
        return str(self.metadata.get("split", ""))


@dataclass(frozen=True)
class Refused:
    found: Found
    code: int  # of the wire
    details: str


@dataclass(frozen=True)
class _Checked:
    """An item whose content is in order. `picture` is None for a text, whose bytes are in `text`."""

    found: Found
    id: str
    example: Example
    size: int
    picture: DecodeResult | None = None
    text: bytes = b""

    @property
    def data(self) -> bytes:
        return Path(self.example.path).read_bytes() if self.picture else self.text


Pair = tuple[Found, str]  # an item and the id of its input


class Preparer:
    """`prepared` takes some items at a time."""

    def __init__(self, blobs: Blobs, pool: DecodePool, settings: Settings, request: Request) -> None:
        self._blobs, self._pool, self._request = blobs, pool, request
        self._most_mb, self._rules = settings.max_input_mb, urls.rules(settings)

    def prepared(self, items: Sequence[Pair]) -> list[Ready | Refused]:
        """What can be made of each item, in order."""
        results = {found.number: self._by_url(found, id) for found, id in items if found.extra.url}
        good: list[_Checked] = []
        for one in self._checked([one for one in items if not one[0].extra.url]):
            if isinstance(one, Refused):
                results[one.found.number] = one
            else:
                good.append(one)
        for some in _by_size(good):
            blobs = self._blobs.put_many([one.data for one in some])
            results |= {one.found.number: self._ready(one, blob) for one, blob in zip(some, blobs, strict=True)}
        return [results[found.number] for found, _ in items]

    def _by_url(self, found: Found, id: str) -> Ready | Refused:
        """Its bytes are fetched later, as those of any input that is sent as a URL. The same rules hold."""
        example = found.example or Example("", "", "")
        try:
            url = urls.parse(found.extra.url)
            self._rules.check(url)
            labels, metadata = self._labels(example), self._metadata(found, example)
        except LuthierError as error:
            return Refused(found, error.code, error.details)
        return Ready(found, id, "image", "", 0, "", 0, 0, labels, metadata, (), url)

    # -- contents ------------------------------------------------------------------------------------------------------

    def _checked(self, items: Sequence[Pair]) -> Iterator[_Checked | Refused]:
        pictures: list[tuple[Found, str, Example, int]] = []
        for found, id in items:
            try:
                example = _usable(found)
                size = self._size(example)
                if _is_text(example):
                    yield _Checked(found, id, example, size, text=_text(example))
                else:
                    pictures.append((found, id, example, size))
            except LuthierError as error:
                yield Refused(found, error.code, error.details)
        answers = self._pool.check_many([Path(example.path) for _, _, example, _ in pictures])
        for one, answer in zip(pictures, answers, strict=True):
            found, _, example, _ = one
            if not answer.ok:
                yield Refused(found, answer.code, answer.details)
            elif problem := _other_size(example, answer):
                yield Refused(found, InvalidAnnotation.code, problem)
            else:
                yield _Checked(*one, picture=answer)

    def _size(self, example: Example) -> int:
        """Bytes; raises InputOverLimit before any of a file is read."""
        size = Path(example.path).stat().st_size if example.path else len(text_bytes(example))
        if size > self._most_mb * 2**20:
            what = "text" if _is_text(example) else "picture"
            raise InputOverLimit(f"the {what} takes {size} bytes; at most {self._most_mb} MiB are taken")
        return size

    # -- what belongs to them ------------------------------------------------------------------------------------------

    def _ready(self, one: _Checked, blob: str) -> Ready | Refused:
        picture = one.picture
        shape = (picture.format, picture.width, picture.height) if picture else ("TEXT", 0, 0)
        try:
            if picture and blob != picture.sha256:
                raise InvalidBytes("the file changed while it was read")
            labels, regions = self._labels(one.example), self._regions(one.example, picture)
            metadata = self._metadata(one.found, one.example)
        except LuthierError as error:
            return Refused(one.found, error.code, error.details)
        kind = "image" if picture else "text"
        return Ready(one.found, one.id, kind, blob, one.size, *shape, labels, metadata, regions)

    def _labels(self, example: Example) -> Labels:
        labels = dict(self._request.labels)
        for id, value in example.labels.items():
            if id in labels and labels[id][1] != value:
                raise InvalidConcept(f"'{id}' is {value} in the data and {labels[id][1]} for all inputs; drop one")
            labels.setdefault(id, (id, value))
        return labels

    def _metadata(self, found: Found, example: Example) -> dict[str, Any]:
        own: dict[str, Any] = {"filename": found.name} if example.path else {}
        if example.split:
            own["split"] = example.split
        if example.messages:
            own["format"] = "messages"  # of its JSON
        return checked_metadata({**self._request.metadata, **own, **found.extra.metadata})

    def _regions(self, example: Example, picture: DecodeResult | None) -> tuple[ImportedRegion, ...]:
        """Raises InvalidAnnotation for what does not go with the content."""
        if len(example.regions) > MOST_REGIONS:
            raise InvalidAnnotation(f"it has {len(example.regions)} regions; at most {MOST_REGIONS} are kept")
        for region in example.regions:
            _check_fit(region, picture)
        pngs = [png_of_runs(region.runs) for region in example.regions if region.kind == "mask"]
        masks = iter(self._blobs.put_many(pngs) if pngs else [])
        return tuple(_region(region, masks) for region in example.regions)


def checked_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """As over the wire: at most 64 KiB, 8 levels. A split in them is one of ours. Raises InvalidInput."""
    text = json.dumps(metadata, ensure_ascii=False)
    if len(text.encode("utf-8", "surrogatepass")) > MOST_METADATA:
        raise InvalidInput(f"its metadata take {len(text)} bytes as JSON; at most {MOST_METADATA}")
    if _depth(metadata) > DEEPEST:
        raise InvalidInput(f"its metadata have more than {DEEPEST} levels")
    if "split" in metadata:
        split = SPLIT_NAMES.get(str(metadata["split"]).lower())
        if not split:
            raise InvalidInput(f"its metadata.split is {shown(metadata['split'])}; give train, val or test")
        return {**metadata, "split": split}
    return metadata


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max((_depth(one) for one in inner), default=0)


def _usable(found: Found) -> Example:
    """Raises InvalidInput with what a reader said of it."""
    if found.example is None or found.example.invalid:
        raise InvalidInput(found.reason if found.example is None else found.example.invalid)
    return found.example


def _is_text(example: Example) -> bool:
    return not example.path or Path(example.path).suffix.lower() == TEXT_ENDING


def _text(example: Example) -> bytes:
    """UTF-8 without a byte order mark. Raises InvalidInput naming the first byte that is not, and for blank texts."""
    if not example.path:
        data, blank = text_bytes(example), not example.messages and not example.text.strip()
    else:
        try:
            text = read_text(Path(example.path))
        except LuthierError as error:
            raise InvalidInput(error.details.replace(example.path, "the text")) from error
        data, blank = text.encode(), not text.strip()
    if blank:
        raise InvalidInput("the text is empty or holds nothing but spaces")
    return data


def _other_size(example: Example, answer: DecodeResult) -> str:
    told, size = (example.width, example.height), (answer.width, answer.height)
    if 0 in told or told == size:
        return ""
    return f"its annotation is for {told[0]}x{told[1]} pixels, the upright picture has {size[0]}x{size[1]}"


def _by_size(items: Iterable[_Checked]) -> Iterator[list[_Checked]]:
    """Groups whose bytes fit into AT_ONCE."""
    group: list[_Checked] = []
    size = 0
    for one in items:
        if group and size + one.size > AT_ONCE:
            yield group
            group, size = [], 0
        group.append(one)
        size += one.size
    if group:
        yield group


def _check_fit(region: Region, picture: DecodeResult | None) -> None:
    if (region.kind == "span") != (picture is None):
        raise InvalidAnnotation(f"a {region.kind} does not go with {'a picture' if picture else 'a text'}")
    if picture and region.kind == "mask" and region.runs[:2] != (picture.width, picture.height):
        mask, size = region.runs[:2], (picture.width, picture.height)
        raise InvalidAnnotation(f"a mask is {mask[0]}x{mask[1]} pixels, the upright picture {size[0]}x{size[1]}")


def _region(region: Region, masks: Iterator[str]) -> ImportedRegion:
    group = f"object-{region.group}" if region.group else ""
    if region.kind != "mask":
        return ImportedRegion(region.kind, region.concept, region.points, object=group)
    width, height = region.runs[:2]
    return ImportedRegion("mask", region.concept, mask=(next(masks), width, height), object=group)
