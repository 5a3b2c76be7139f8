"""What `luthier train` reads: any layout that `data/readers` knows, as long as it labels what the template learns."""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path

import click

from luthier.catalog.text_preparation import TextPreparation
from luthier.data import readers
from luthier.data.readers.found import ReadResult
from luthier.data.readers.settle import EMPTY_TEXT, Progress
from luthier.errors import InvalidRequest
from luthier.runs.manifest import Example
from luthier.settings import Settings

AS_THEY_ARE = TextPreparation()


class Learns(Enum):
    """What a template's examples are."""

    PICTURES = "pictures with labels of the whole"
    REGIONS = "pictures with labelled parts"
    GOOD_PICTURES = "good pictures, and some that are not"
    TEXTS = "texts with labels of the whole"
    WRITING = "texts to learn to write from"


def read_data(
    data: Path,
    test_data: Path | None,
    columns: Sequence[str],
    settings: Settings,
    progress: Progress,
    *,
    learns: Learns,
    labelled: bool = True,
    preparation: TextPreparation = AS_THEY_ARE,
) -> ReadResult:
    """Where nothing `labelled` is learnt, the labels are dropped; `preparation` says what becomes of empty texts.

    Raises InvalidRequest for data with other inputs or labels than the template learns from.
    """
    found = readers.read(
        data,
        column_names(columns) or None,
        progress,
        test_data=test_data,
        empty_texts=preparation.missing != "reject",
        memory_mb=settings.decode_memory_mb,
        seconds=settings.decode_seconds,
    )
    if held := next((held for held in map(_holds, found.examples) if held not in _LEARNT[learns]), ""):
        raise InvalidRequest(f"--data {data} holds {held}: it can be read, but {_WANTED[learns]}")
    if learns is Learns.REGIONS and not any(example.regions for example in found.examples):
        raise InvalidRequest(
            f"--data {data} holds labels of whole pictures only: it can be read, but {_WANTED[learns]}"
        )
    _settle_missing(found, preparation)
    if not labelled:
        found.examples = [replace(example, labels={}) for example in found.examples]
        found.concepts = []
    return found


def _settle_missing(found: ReadResult, preparation: TextPreparation) -> None:
    """Empty texts, which readers call invalid, are left out or filled where that is asked for."""
    missing = {example.id for example in found.examples if example.invalid == EMPTY_TEXT}
    if not missing or preparation.missing == "reject":
        return
    if preparation.missing == "drop":
        found.examples = [example for example in found.examples if example.id not in missing]
        found.notes.append(f"{len(missing)} empty texts are left out, as missing=drop says")
    else:
        fill = preparation.fill
        found.examples = [replace(one, text=fill, invalid="") if one.id in missing else one for one in found.examples]
        found.notes.append(f"{len(missing)} empty texts are taken as {preparation.fill!r}, as missing=fill says")
    found.rejected = [rejected for rejected in found.rejected if rejected.reason != EMPTY_TEXT]


_PICTURES, _TEXTS, _CONVERSATIONS = "pictures", "texts", "conversations"
_LEARNT = {
    Learns.PICTURES: (_PICTURES,),
    Learns.REGIONS: (_PICTURES, "boxes", "polygons", "masks"),
    Learns.GOOD_PICTURES: (_PICTURES, "boxes", "polygons", "masks"),
    Learns.TEXTS: (_TEXTS,),
    Learns.WRITING: (_TEXTS, _CONVERSATIONS),
}
_WANTED = {
    Learns.PICTURES: "this template learns labels of whole pictures. Give a folder with a sub-folder per class, or a "
    "CSV with the columns image,label; `luthier templates` lists those that learn boxes, and those that learn texts",
    Learns.REGIONS: "this template learns parts of pictures. Give boxes, polygons or masks: COCO, YOLO, Pascal VOC or "
    "mask PNGs",
    Learns.GOOD_PICTURES: "this template learns good pictures. Give an MVTec folder, or a folder with a sub-folder "
    "called good",
    Learns.TEXTS: "this template learns labels of texts. Give a CSV or TSV with the columns text,label, or JSON lines "
    'with {"text": …, "label": …}; conversations are learnt with --model-type text-to-text',
    Learns.WRITING: "this template learns to write texts. Give JSON lines with messages, conversations (sharegpt), "
    "instruction and output (alpaca), prompt and completion, or text",
}
_KINDS = {"box": "boxes", "polygon": "polygons", "mask": "masks", "point": "points", "span": "spans of text"}


def _holds(example: Example) -> str:
    """What an example is, and where it has labelled parts, what those are."""
    if example.regions:
        return _KINDS[example.regions[0].kind]
    if example.messages:
        return _CONVERSATIONS
    return _TEXTS if example.text or example.invalid == EMPTY_TEXT else _PICTURES


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
