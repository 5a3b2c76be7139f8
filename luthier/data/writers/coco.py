"""COCO: annotations.json and the pictures in images/. Format: https://cocodataset.org/#format-data.

Coordinates are pixels. Polygons of one group are one annotation; masks are uncompressed run lengths with iscrowd 1.
`input_id`, `split` and `labels` of a picture's entry are our own, so that nothing is lost.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from luthier.data.readers.shapes import extent, polygon_area
from luthier.data.writers.pictures import Names, put, require_empty, source_of, usable
from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import Example, Region
from luthier.runs.run import RunConcept

FILE = "annotations.json"


def write(
    folder: Path, examples: Iterable[Example], blob_folder: Path | None = None, concepts: Sequence[RunConcept] = ()
) -> int:
    """Writes FILE and the pictures into the empty `folder`; returns the number of pictures.

    `concepts` gives the order of the categories; those that it lacks follow by name. Raises InvalidRequest for texts.
    """
    rows = list(usable(examples))
    sources = [source_of(example, blob_folder) for example in rows]
    require_empty(folder)
    categories = {name: number for number, name in enumerate(concept_names(rows, concepts), start=1)}
    names = Names()
    annotations: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for number, (example, source) in enumerate(zip(rows, sources, strict=True), start=1):
        name = names.of(example, source)
        put(source, folder / "images", name)
        images.append(image_row(example, number, name))
        for row in annotation_rows(example):
            category = categories[row.pop("concept")]
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": category, **row})
    data = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
    (folder / FILE).write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return len(rows)


def concept_names(rows: Sequence[Example], concepts: Sequence[RunConcept]) -> list[str]:
    """Ids of `concepts` in their order, then those that regions use beside them, by name."""
    known = [concept.id for concept in concepts]
    return known + sorted({region.concept for example in rows for region in example.regions} - set(known))


def image_row(example: Example, number: int, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": number, "file_name": name, "width": example.width, "height": example.height}
    labels = {"labels": example.labels} if example.labels else {}
    return {**row, "input_id": example.id, "split": example.split, **labels}


def annotation_rows(example: Example) -> Iterable[dict[str, Any]]:
    """A row per object: regions that follow each other in one group are its parts."""
    numbered = enumerate(example.regions)
    for _, parts in groupby(numbered, key=lambda one: one[1].group or -1 - one[0]):
        yield _object([region for _, region in parts], example)


def _object(parts: list[Region], example: Example) -> dict[str, Any]:
    first, size = parts[0], (example.width, example.height)
    if first.kind == "mask" and len(parts) == 1:
        return _mask(first)
    if first.kind not in ("box", "polygon") or 0 in size or len({(part.kind, part.concept) for part in parts}) > 1:
        held = f"a {first.kind} and {len(parts) - 1} more parts, of {size[0]}x{size[1]} pixels"
        raise InvalidRequest(f"{shown(example.id)} holds {held}, which COCO cannot say; write JSON lines")
    edges = [extent(part) for part in parts]
    left, top = (min(edge[side] for edge in edges) * size[side] for side in (0, 1))
    right, bottom = (max(edge[side] for edge in edges) * size[side - 2] for side in (2, 3))
    row: dict[str, Any] = {
        "concept": first.concept,
        "bbox": [in_pixels(value) for value in (left, top, right - left, bottom - top)],
        "area": in_pixels((right - left) * (bottom - top)),
        "iscrowd": 0,
    }
    if first.kind == "polygon":
        row["area"] = in_pixels(sum(polygon_area(part) for part in parts) * size[0] * size[1])
        row["segmentation"] = [[in_pixels(v * size[n % 2]) for n, v in enumerate(part.points)] for part in parts]
    return row


def _mask(region: Region) -> dict[str, Any]:
    width, height, *counts = region.runs
    rows, columns, start = [], [], 0
    for index, count in enumerate(counts):
        if index % 2 and count:
            whole = count >= height or start % height + count > height
            rows += [0, height - 1] if whole else [start % height, start % height + count - 1]
            columns += [start // height, (start + count - 1) // height]
        start += count
    box = (
        [min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1] if rows else [0, 0, 0, 0]
    )
    segmentation = {"size": [height, width], "counts": counts}
    return {
        "concept": region.concept,
        "bbox": box,
        "area": sum(counts[1::2]),
        "iscrowd": 1,
        "segmentation": segmentation,
    }


def in_pixels(value: float) -> float | int:
    """Rounded far below what the fractions keep; a whole number without a point."""
    rounded = round(value, 8)
    return int(rounded) if rounded == int(rounded) else rounded
