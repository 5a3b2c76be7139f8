"""YOLO: data.yaml names the classes, and a text file per picture has a line per box or polygon. Next: `yolo_yaml`.

    images/a.jpg  labels/a.txt:  CLASS x-centre y-centre width height   |   CLASS x y x y x y …      (fractions)

data.yaml's train, val and test are folders of pictures or text files that list them. A picture without a text file
shows nothing. Format: https://docs.ultralytics.com/datasets/detect/.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from luthier.data.readers.csv import checked_name
from luthier.data.readers.files import PICTURE_ENDINGS, find_file
from luthier.data.readers.found import ReadResult, Rejected, files_below, shown_path
from luthier.data.readers.shapes import box, polygon
from luthier.data.readers.text_files import read_text
from luthier.data.readers.yolo_yaml import DataYaml, read_data_yaml
from luthier.errors import InvalidAnnotation, InvalidRequest, shown
from luthier.runs.manifest import SPLITS, Example, Region
from luthier.runs.run import RunConcept

FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")


def file_in(folder: Path) -> Path | None:
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def drafts(path: Path, result: ReadResult) -> list[Example]:
    """An example per picture, by split, in the order of the files. `path` is data.yaml.

    Raises InvalidRequest for a data.yaml that cannot be followed; a broken line makes its picture invalid.
    """
    root, told = path.resolve().parent, read_data_yaml(path)
    names = _names(told, path)
    result.concepts = [RunConcept(name, name) for name in dict.fromkeys(names.values())]
    examples: dict[str, Example] = {}
    for split in SPLITS:
        for place in told.places.get(split, ()):
            for file, name, problem in _pictures(place, root, path, result):
                example = _example(file, name, problem, split, root, names)
                if example.id in examples:
                    reason = f"it is in {examples[example.id].split} already; {split} has no use for it"
                    result.rejected.append(Rejected(shown(example.id), reason))
                else:
                    examples[example.id] = example
    return list(examples.values())


def _names(told: DataYaml, path: Path) -> dict[int, str]:
    if not told.names:
        raise InvalidRequest(f"{path} names no classes; give them under names, as in names: [cat, dog]")
    try:
        names = {index: checked_name(name) for index, name in told.names.items()}
    except InvalidRequest as error:
        raise InvalidRequest(f"{path}: {error.details}") from error
    if len(set(names.values())) < len(names):
        raise InvalidRequest(f"{path}: two classes have the same name; give each a name of its own")
    return names


def _pictures(place: str, root: Path, path: Path, result: ReadResult) -> list[tuple[str, str, str]]:
    """(path, name below the root, problem) of each picture in a folder or a list."""
    while place.startswith("../"):  # some exports mean the folder of data.yaml by it
        place = place[3:]
    if place.endswith(".txt"):
        file, problem = find_file(place, root)
        if problem:
            raise InvalidRequest(f"{path}: {problem}")
        lines = [line.strip() for line in read_text(Path(file)).split("\n") if line.strip()]
        found = [(line.removeprefix("./"), *find_file(line.removeprefix("./"), root)) for line in lines]
        return [(one, name, problem) for name, one, problem in found]
    folder = (root / place).resolve()
    if not folder.is_relative_to(root) or not folder.is_dir():
        raise InvalidRequest(f"{path}: {shown(place)} is not a folder of pictures below the folder of data.yaml")
    files = [file for file in files_below(folder, root, result.rejected) if file.suffix.lower() in PICTURE_ENDINGS]
    return [(str(file), shown_path(file, root), "") for file in files]


def _example(file: str, name: str, problem: str, split: str, root: Path, names: dict[int, str]) -> Example:
    parts = PurePosixPath(name).parts
    at = max((n for n, part in enumerate(parts) if part == "images"), default=-1)
    id_ = "/".join(part for n, part in enumerate(parts) if n != at)
    if problem:
        return Example(id_, "", split, invalid=problem)
    labels = PurePosixPath(*("labels" if n == at else part for n, part in enumerate(parts))).with_suffix(".txt")
    try:
        return Example(id_, "", split, path=file, regions=_read_labels(root / labels, root, names))
    except (InvalidAnnotation, InvalidRequest) as error:
        return Example(id_, "", split, path=file, invalid=f"{labels}: {error.details}")


def _read_labels(path: Path, root: Path, names: dict[int, str]) -> tuple[Region, ...]:
    if not path.is_file() or not path.resolve().is_relative_to(root):
        return ()
    regions = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                regions.append(_region(line.split(), names))
            except InvalidAnnotation as error:
                raise InvalidAnnotation(f"line {number}: {error.details}") from error
    return tuple(regions)


def _region(cells: Sequence[str], names: dict[int, str]) -> Region:
    try:
        index, values = int(cells[0]), [float(cell) for cell in cells[1:]]
    except ValueError as error:
        raise InvalidAnnotation(f"{shown(' '.join(cells))} is not a class number and fractions") from error
    if index not in names:
        raise InvalidAnnotation(f"class {index} is not one of the {len(names)} in data.yaml")
    if len(values) == 4:
        x, y, width, height = values
        return box(names[index], x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(values) < 6:
        raise InvalidAnnotation(f"it has {len(values)} numbers after the class; a box has 4, a polygon 6 or more")
    return polygon(names[index], values)
