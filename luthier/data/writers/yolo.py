"""YOLO: images/, labels/, data.yaml, and a list of pictures per split. Format: see `readers/yolo`.

Lists instead of folders per split keep the pictures' names as they are. An empty split has an empty list.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from luthier.data.writers.coco import concept_names
from luthier.data.writers.pictures import Names, put, require_empty, source_of, usable
from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import SPLITS, Example, Region
from luthier.runs.run import RunConcept


def write(
    folder: Path, examples: Iterable[Example], blob_folder: Path | None = None, concepts: Sequence[RunConcept] = ()
) -> int:
    """Writes into the empty `folder`; returns the number of pictures.

    Raises InvalidRequest for what YOLO has no line for: masks, objects of several parts, labels of whole pictures.
    """
    rows = list(usable(examples))
    numbers = {name: number for number, name in enumerate(concept_names(rows, concepts))}
    lines = [_lines(example, numbers) for example in rows]
    sources = [source_of(example, blob_folder) for example in rows]
    require_empty(folder)
    names, lists = Names(), {split: list[str]() for split in SPLITS}
    for example, source, text in zip(rows, sources, lines, strict=True):
        name = names.of(example, source)
        put(source, folder / "images", name)
        label = folder / "labels" / PurePosixPath(name).with_suffix(".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(text, encoding="utf-8")
        lists[example.split].append(f"./images/{name}\n")
    for split, files in lists.items():
        (folder / f"{split}.txt").write_text("".join(files), encoding="utf-8")
    (folder / "data.yaml").write_text(_yaml(list(numbers)), encoding="utf-8")
    return len(rows)


def _yaml(names: Sequence[str]) -> str:
    """Names as JSON strings, which are YAML too."""
    places = "".join(f"{split}: {split}.txt\n" for split in SPLITS)
    listed = "".join(f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(names))
    return f"path: .\n{places}nc: {len(names)}\nnames:\n{listed}"


def _lines(example: Example, numbers: dict[str, int]) -> str:
    if example.labels:
        raise InvalidRequest(f"{shown(example.id)} has labels of the whole picture, which YOLO boxes cannot say")
    return "".join(f"{numbers[region.concept]} {_coordinates(region, example)}\n" for region in example.regions)


def _coordinates(region: Region, example: Example) -> str:
    if region.kind not in ("box", "polygon") or region.group:
        held = "an object of several parts" if region.group else f"a {region.kind}"
        raise InvalidRequest(f"{shown(example.id)} holds {held}, which YOLO has no line for; write COCO or JSON lines")
    values = region.points
    if region.kind == "box":
        left, top, right, bottom = region.points
        values = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return " ".join(f"{value:.9f}".rstrip("0").rstrip(".") for value in values)
