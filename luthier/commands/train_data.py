"""What `luthier train` reads: any layout that `data/readers` knows, as long as it labels whole pictures."""

from collections.abc import Sequence
from pathlib import Path

import click

from luthier.data import readers
from luthier.data.readers.found import ReadResult
from luthier.data.readers.settle import Progress
from luthier.errors import InvalidRequest
from luthier.settings import Settings


def read_pictures(
    data: Path, test_data: Path | None, columns: Sequence[str], settings: Settings, progress: Progress
) -> ReadResult:
    """Raises InvalidRequest for data with other labels than those of whole pictures, saying what they are."""
    found = readers.read(
        data,
        column_names(columns) or None,
        progress,
        test_data=test_data,
        memory_mb=settings.decode_memory_mb,
        seconds=settings.decode_seconds,
    )
    if held := _other_labels(found):
        raise InvalidRequest(
            f"--data {data} holds {held}: it can be read, but this version trains pictures with labels of the whole "
            "picture only. Give a folder with a sub-folder per class, or a CSV with the columns image,label"
        )
    return found


def _other_labels(found: ReadResult) -> str:
    """The first kind of thing in the data that cannot be trained on yet, "" where there is none."""
    for example in found.examples:
        if example.messages or example.text:
            return "conversations" if example.messages else "texts"
        if example.regions:
            kinds = {"box": "boxes", "polygon": "polygons", "mask": "masks", "span": "spans of text"}
            return kinds[example.regions[0].kind]
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
