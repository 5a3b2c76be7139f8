"""Clarifai's data format: a ZIP of InputBatch messages, `mimetype` first. Next: `wire/exported`, `frozen`.

Entries are named SPLIT/NUMBER_nCOUNT, with .json behind them in the JSON form: the published SDK reads the number of
inputs out of the name. Pictures are named by their addresses, texts are written out.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from luthier.data.mask_png import png_of_runs
from luthier.runs.manifest import Example, Region
from luthier.store.secrets import signed_media_url
from luthier.wire.exported import (
    JSON_TYPE,
    PROTOBUF_TYPE,
    ExportedConcept,
    ExportedInput,
    ExportedRegion,
    json_batch,
    protobuf_batch,
)
from luthier.worker.exporting.archive import Archive
from luthier.worker.exporting.frozen import BATCH, Frozen, Known

Encode = Callable[[Sequence[ExportedInput]], bytes]


def write_protobuf(frozen: Frozen, archive: Archive) -> None:
    archive.add("mimetype", PROTOBUF_TYPE, packed=False)
    _write(frozen, archive, protobuf_batch, "")


def write_json(frozen: Frozen, archive: Archive) -> None:
    archive.add("mimetype", JSON_TYPE, packed=False)
    _write(frozen, archive, json_batch, ".json")


def _write(frozen: Frozen, archive: Archive, encode: Encode, ending: str) -> None:
    """One batch of every split is held at a time."""
    waiting: dict[str, list[Example]] = defaultdict(list)
    numbers: Counter[str] = Counter()

    def flush(split: str) -> None:
        batch = waiting.pop(split)
        numbers[split] += 1
        archive.add(f"{split}/{numbers[split]:06d}_n{len(batch)}{ending}", encode(_exported(frozen, batch)))

    for example in frozen.examples():
        waiting[example.split].append(example)
        if len(waiting[example.split]) == BATCH:
            flush(example.split)
    for split in sorted(waiting):
        flush(split)


def _exported(frozen: Frozen, batch: list[Example]) -> list[ExportedInput]:
    names = frozen.names(batch)
    return [_one(frozen, *pair, names) for pair in zip(batch, frozen.known(batch), strict=True)]


def _one(frozen: Frozen, example: Example, known: Known, names: dict[str, str]) -> ExportedInput:
    text = known.kind == "text"
    return ExportedInput(
        id=example.id,
        kind=known.kind,
        url=signed_media_url(frozen.settings, example.blob),
        width=example.width,
        height=example.height,
        format=known.format,
        text=example.text or (frozen.path(example).read_bytes().decode() if text else ""),
        concepts=tuple(ExportedConcept(id, names[id], value) for id, value in example.labels.items()),
        regions=tuple(_region(region, names) for region in example.regions),
        message=known.message,
    )


def _region(region: Region, names: dict[str, str]) -> ExportedRegion:
    png = png_of_runs(region.runs) if region.kind == "mask" else b""
    concept = ExportedConcept(region.concept, names[region.concept])
    return ExportedRegion(region.kind, concept, region.points, png)
