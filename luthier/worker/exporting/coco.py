"""COCO: annotations.json and the pictures in images/, as `data/writers/coco` writes a folder. Next: `frozen`.

Only numbers and names are held, never all rows: images and annotations go to files of their own first.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any

from luthier.data.writers.coco import FILE, annotation_rows, image_row
from luthier.data.writers.pictures import Names
from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import Example
from luthier.worker.exporting.archive import Archive
from luthier.worker.exporting.frozen import BATCH, Frozen


def write(frozen: Frozen, archive: Archive) -> None:
    """Raises InvalidRequest for what COCO cannot hold: texts, spans, points."""
    categories = {id: number for number, id in enumerate(_concepts(frozen), start=1)}
    names, annotations = Names(), 0
    with ExitStack() as stack:
        images, objects = (stack.enter_context(_spool(frozen)) for _ in range(2))
        for number, example in enumerate(_pictures(frozen), start=1):
            source = frozen.path(example)
            name = names.of(example, source)
            archive.add_file(f"images/{name}", source)
            _line(images, image_row(example, number, name))
            for row in annotation_rows(example):
                annotations += 1
                category = categories[row.pop("concept")]
                _line(objects, {"id": annotations, "image_id": number, "category_id": category, **row})
        with archive.open(FILE) as target:
            for key, rows in (("images", images), ("annotations", objects)):
                target.write(b'{"images": [' if key == "images" else b'], "annotations": [')
                _copy(rows, target)
            tail = json.dumps([{"id": number, "name": id} for id, number in categories.items()], ensure_ascii=False)
            target.write(f'], "categories": {tail}}}'.encode())


def _concepts(frozen: Frozen) -> list[str]:
    return sorted({region.concept for example in frozen.examples() for region in example.regions})


def _pictures(frozen: Frozen) -> Iterator[Example]:
    batch: list[Example] = []
    for example in frozen.examples():
        batch.append(example)
        if len(batch) == BATCH:
            yield from _checked(frozen, batch)
            batch = []
    yield from _checked(frozen, batch)


def _checked(frozen: Frozen, batch: list[Example]) -> list[Example]:
    for example, known in zip(batch, frozen.known(batch), strict=True):
        if known.kind != "image":
            raise InvalidRequest(
                f"input {shown(example.id)} is a {known.kind}, which COCO cannot hold; "
                "export the version as CLARIFAI_DATA_PROTOBUF or CLARIFAI_DATA_JSON"
            )
    return batch


def _spool(frozen: Frozen) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=frozen.settings.data_dir)


def _line(file: IO[bytes], row: dict[str, Any]) -> None:
    file.write((b",\n" if file.tell() else b"") + json.dumps(row, ensure_ascii=False).encode())


def _copy(rows: IO[bytes], target: IO[bytes]) -> None:
    rows.seek(0)
    while chunk := rows.read(1 << 20):
        target.write(chunk)
