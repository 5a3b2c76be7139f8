"""Pascal VOC: Annotations/, JPEGImages/ and ImageSets/Main/. Format: see `readers/voc`.

Sides are whole pixels where they are; others keep their decimals, so that nothing is lost.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import escape

from luthier.data.readers.voc import ANNOTATIONS, PICTURES, SETS
from luthier.data.writers.coco import in_pixels
from luthier.data.writers.pictures import Names, put, require_empty, source_of, usable
from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import SPLITS, Example, Region


def write(folder: Path, examples: Iterable[Example], blob_folder: Path | None = None) -> int:
    """Writes into the empty `folder`; returns the number of pictures. Raises InvalidRequest for all but boxes."""
    rows = list(usable(examples))
    for example in rows:
        _refuse(example)
    sources = [source_of(example, blob_folder) for example in rows]
    require_empty(folder)
    names, lists = Names(), {split: list[str]() for split in SPLITS}
    for example, source in zip(rows, sources, strict=True):
        name = PurePosixPath(names.of(example, source))
        put(source, folder / PICTURES, str(name))
        file = folder / ANNOTATIONS / name.with_suffix(".xml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_xml(example, name.name), encoding="utf-8")
        lists[example.split].append(f"{name.with_suffix('')}\n")
    (folder / SETS).mkdir(parents=True)
    for split, lines in lists.items():
        (folder / SETS / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
    return len(rows)


def _refuse(example: Example) -> None:
    other = [region.kind for region in example.regions if region.kind != "box" or region.group]
    if other or example.labels:
        held = f"a {other[0]}" if other else "labels of the whole picture"
        raise InvalidRequest(f"{shown(example.id)} holds {held}; VOC has boxes only: write COCO or JSON lines")


def _xml(example: Example, name: str) -> str:
    size = f"<width>{example.width}</width><height>{example.height}</height><depth>3</depth>"
    objects = "".join(_object(region, example) for region in example.regions)
    return (
        f"<annotation>\n  <filename>{escape(name)}</filename>\n  <size>{size}</size>\n"
        f"  <segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _object(region: Region, example: Example) -> str:
    left, top, right, bottom = region.points
    pixels = {
        "xmin": left * example.width + 1,
        "ymin": top * example.height + 1,
        "xmax": right * example.width,
        "ymax": bottom * example.height,
    }
    box = "".join(f"<{side}>{in_pixels(value)}</{side}>" for side, value in pixels.items())
    return f"  <object><name>{escape(region.concept)}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>\n"
