"""Pascal VOC: an XML file per picture with boxes in pixels that count from 1. Next: `xml_files`.

    Annotations/a.xml  JPEGImages/a.jpg  ImageSets/Main/train.txt (val.txt, test.txt: names without ending)

A side of 0, which tools that count from 0 write, is taken as the picture's edge. `writers/voc` writes this.
"""

from pathlib import Path
from xml.etree.ElementTree import Element

from luthier.data.readers.csv import checked_name
from luthier.data.readers.files import PICTURE_ENDINGS, find_file
from luthier.data.readers.found import ReadResult, files_below
from luthier.data.readers.shapes import box
from luthier.data.readers.text_files import read_text
from luthier.data.readers.xml_files import read_xml, text_of
from luthier.errors import InvalidAnnotation, InvalidRequest, shown
from luthier.runs.manifest import SPLITS, Example, Region

ANNOTATIONS, PICTURES, SETS = "Annotations", "JPEGImages", "ImageSets/Main"


def fits(folder: Path) -> bool:
    return next((folder / ANNOTATIONS).rglob("*.xml"), None) is not None


def drafts(folder: Path, result: ReadResult) -> list[Example]:
    """An example per XML file, in the order of their names; a broken one is invalid, with the reason."""
    root = folder.resolve()
    splits = _splits(root)
    files = [file for file in files_below(root / ANNOTATIONS, root, result.rejected) if file.suffix.lower() == ".xml"]
    return [_example(file, root, splits) for file in files]


def _splits(root: Path) -> dict[str, str]:
    """Split by the name of the annotation without its ending; a name in two lists is in the first."""
    splits: dict[str, str] = {}
    for split in reversed(SPLITS):
        path = root / SETS / f"{split}.txt"
        if path.is_file() and path.resolve().is_relative_to(root):
            splits.update(dict.fromkeys((line.strip() for line in read_text(path).split("\n")), split))
    return splits


def _example(file: Path, root: Path, splits: dict[str, str]) -> Example:
    name = file.relative_to(root / ANNOTATIONS).with_suffix("").as_posix()
    split = splits.get(name.strip(), "")
    try:
        tree = read_xml(file)
    except InvalidRequest as error:
        return Example(name, "", split, invalid=f"{file.name}: {error.details}")
    picture = _picture_name(name, text_of(tree, "filename"))
    path, problem = find_file(picture, root, [root / PICTURES, root / "images", file.parent])
    width, height = _whole(tree, "size/width"), _whole(tree, "size/height")
    regions: tuple[Region, ...] = ()
    try:
        objects = enumerate(tree.findall("object"), start=1)
        regions = tuple(_region(one, width, height, number) for number, one in objects)
    except (InvalidAnnotation, InvalidRequest) as error:
        problem = problem or f"{file.name}: {error.details}"
    return Example(picture, "", split, {}, width, height, path, problem, regions=regions)


def _picture_name(name: str, told: str) -> str:
    """The annotation's name with the ending of the file that it tells; that file's own name where it has another."""
    ending = Path(told).suffix
    if ending.lower() not in PICTURE_ENDINGS:
        return f"{name}.jpg"
    stem = Path(told.replace("\\", "/")).stem
    return f"{name[: len(name) - len(Path(name).name)]}{stem}{ending}"


def _whole(tree: Element, path: str) -> int:
    text = text_of(tree, path)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _region(element: Element, width: int, height: int, number: int) -> Region:
    concept = checked_name(text_of(element, "name"))
    where = f"object {number} ({shown(concept)})"
    if not width or not height:
        raise InvalidAnnotation(f"{where}: the picture's size/width and size/height are missing")
    sides = {
        name: _pixels(text_of(element, f"bndbox/{name}"), name, where) for name in ("xmin", "ymin", "xmax", "ymax")
    }
    left, top = (0.0 if 0 <= side < 1 else side - 1 for side in (sides["xmin"], sides["ymin"]))
    try:
        return box(concept, left / width, top / height, sides["xmax"] / width, sides["ymax"] / height)
    except InvalidAnnotation as error:
        raise InvalidAnnotation(f"{where}: {error.details}") from error


def _pixels(text: str, name: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InvalidAnnotation(f"{where}: bndbox/{name} is {shown(text) or 'missing'}; give pixels") from error
