"""What `luthier train` reads: any layout that `data/readers` knows, as long as it labels what the template learns."""

from collections.abc import Sequence
from pathlib import Path

import click

from luthier.data import readers
from luthier.data.readers.found import ReadResult
from luthier.data.readers.settle import Progress
from luthier.errors import InvalidRequest
from luthier.settings import Settings


def read_pictures(
    data: Path,
    test_data: Path | None,
    columns: Sequence[str],
    settings: Settings,
    progress: Progress,
    *,
    regions: bool = False,
) -> ReadResult:
    """`regions`: the template learns parts of pictures. Raises InvalidRequest for data with other labels."""
    found = readers.read(
        data,
        column_names(columns) or None,
        progress,
        test_data=test_data,
        memory_mb=settings.decode_memory_mb,
        seconds=settings.decode_seconds,
    )
    if held := _other_labels(found, regions):
        raise InvalidRequest(f"--data {data} holds {held}: it can be read, but {_WANTED[regions]}")
    if regions and not any(example.regions for example in found.examples):
        raise InvalidRequest(f"--data {data} holds labels of whole pictures only: it can be read, but {_WANTED[True]}")
    return found


_WANTED = {
    False: "this template learns labels of whole pictures. Give a folder with a sub-folder per class, or a CSV with "
    "the columns image,label; `luthier templates` lists those that learn boxes",
    True: "this template learns parts of pictures. Give boxes, polygons or masks: COCO, YOLO, Pascal VOC or mask PNGs",
}
_KINDS = {"box": "boxes", "polygon": "polygons", "mask": "masks", "point": "points", "span": "spans of text"}


def _other_labels(found: ReadResult, regions: bool) -> str:
    """The first kind of thing in the data that the template does not learn, "" where there is none."""
    for example in found.examples:
        if example.messages or example.text:
            return "conversations" if example.messages else "texts"
        for region in example.regions:
            if not regions or region.kind in ("span", "point"):
                return _KINDS[region.kind]
    return ""


def column_names(given: Sequence[str]) -> dict[str, str]:
    """`image=file` as {"image": "file"}; raises a usage error."""
    names: dict[str, str] = {}
    for one in given:
        ours, equals, theirs = one.partition("=")
        if not equals or not ours or not theirs:
            raise click.UsageError(f"--columns {one}: write it as name=column, as in --columns image=file")
        if ours in names:
            raise click.UsageError(f"--columns {ours} is given twice")
        names[ours] = theirs
    return names
