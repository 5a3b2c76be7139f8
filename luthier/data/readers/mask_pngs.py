"""Mask PNGs: images/a.jpg, masks/a.png and classes.txt. A pixel of a mask is the number of its class. Next: `shapes`.

classes.txt has a class per line, the first is number 0; one called "background" is not a concept. 255 means unlabelled
(as in Pascal VOC). Masks are PNGs of one channel, 8 bits or fewer, with or without a palette, as large as the picture.
`binary_mask` is for layouts where every pixel that is not 0 belongs to one concept.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from luthier.data.mask_png import Numbers, numbers_of, runs_of
from luthier.data.readers.csv import checked_name
from luthier.data.readers.files import PICTURE_ENDINGS
from luthier.data.readers.found import ReadResult, files_below, shown_path
from luthier.data.readers.text_files import read_text
from luthier.errors import ImageDecodeError, InvalidAnnotation, InvalidRequest, LuthierError, shown
from luthier.runs.manifest import Example, Region
from luthier.runs.run import RunConcept

IMAGES, MASKS, CLASSES = "images", "masks", "classes.txt"
UNLABELLED = 255
BACKGROUND = "background"


def fits(folder: Path) -> bool:
    return all((folder / name).exists() for name in (IMAGES, MASKS, CLASSES))


def drafts(folder: Path, result: ReadResult) -> list[Example]:
    """An example per picture, in the order of the files; one without a mask, or with a broken one, is invalid."""
    root = folder.resolve()
    names = [checked_name(line) for line in read_text(root / CLASSES).split("\n") if line.strip()]
    if not names or len(set(names)) < len(names):
        raise InvalidRequest(f"{folder / CLASSES} must hold the name of a class per line, each once")
    result.concepts = [RunConcept(name, name) for name in names if name != BACKGROUND]
    files = [file for file in files_below(root / IMAGES, root, result.rejected) if _is_picture(file)]
    return [_example(file, root, names) for file in files]


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURE_ENDINGS


def _example(file: Path, root: Path, names: list[str]) -> Example:
    name = file.relative_to(root / IMAGES)
    mask = root / MASKS / name.with_suffix(".png")
    id_ = shown_path(file, root / IMAGES)
    try:
        numbers = read_numbers(mask, root)
        regions = _regions(numbers, names)
    except LuthierError as error:
        return Example(id_, "", "", path=str(file), invalid=f"{MASKS}/{shown(mask.name)}: {error.details}")
    height, width = numbers.shape
    return Example(id_, "", "", {}, width, height, str(file), regions=regions)


def read_numbers(path: Path, root: Path) -> Numbers:
    """uint8 (H, W): the class of each pixel, palette numbers as they are stored. Raises a LuthierError."""
    if not path.is_file() or not path.resolve().is_relative_to(root):
        raise InvalidAnnotation("there is no such mask in the folder of the data")
    try:
        return numbers_of(path.read_bytes())
    except ImageDecodeError as error:
        raise InvalidAnnotation(error.details) from error


def _regions(numbers: Numbers, names: list[str]) -> tuple[Region, ...]:
    present = [int(number) for number in np.unique(numbers) if number != UNLABELLED]
    unknown = [number for number in present if number >= len(names)]
    if unknown:
        raise InvalidAnnotation(f"the mask holds class {unknown[0]}; {CLASSES} has {len(names)}, from 0")
    wanted = [number for number in present if names[number] != BACKGROUND]
    return tuple(region_of(numbers == number, names[number]) for number in wanted)


def region_of(inside: npt.NDArray[np.bool_], concept: str) -> Region:
    """The mask of a picture as runs down its columns."""
    return Region("mask", concept, runs=tuple(runs_of(inside)))


def binary_mask(path: Path, root: Path, concept: str) -> Region:
    """All pixels that are not 0; raises a LuthierError."""
    return region_of(read_numbers(path, root) > 0, concept)
