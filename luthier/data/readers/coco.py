"""COCO: boxes, polygons and run-length masks of pictures. Format: https://cocodataset.org/#format-data. Next: `shapes`.

An annotation with a segmentation is its polygons (of one group) or its mask, else its box. `writers/coco` adds
`input_id`, `split` and `labels` to a picture's entry, which other programs pass over. Keypoints are not read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from luthier.data.readers.csv import checked_name, split_of
from luthier.data.readers.files import find_file
from luthier.data.readers.found import ReadResult
from luthier.data.readers.shapes import box, mask, number, polygon
from luthier.data.readers.splitting import SPLIT_NAMES
from luthier.data.readers.text_files import read_json
from luthier.errors import InvalidAnnotation, InvalidRequest, shown
from luthier.runs.manifest import Example, Region
from luthier.runs.run import RunConcept

FILES = ("annotations.json", "_annotations.coco.json", "annotations/*.json", "*/_annotations.coco.json")
_NOT_ABOUT_BOXES = ("captions_", "person_keypoints_", "image_info_")


def fits(data: Any) -> bool:
    return isinstance(data, dict) and all(isinstance(data.get(name), list) for name in ("images", "annotations"))


def files_in(folder: Path) -> list[Path]:
    """Files of `folder` that may be COCO, by the names that they usually have."""
    found = [path for pattern in FILES for path in sorted(folder.glob(pattern)) if path.is_file()]
    return [path for path in dict.fromkeys(found) if not path.name.startswith(_NOT_ABOUT_BOXES)]


def drafts_of_folder(folder: Path, result: ReadResult) -> list[Example]:
    """Several files of one data set: their names or folders tell the splits."""
    examples: list[Example] = []
    for path in files_in(folder):
        data = read_json(path)
        if not fits(data):
            raise InvalidRequest(f"{path} is not COCO: it must hold the lists images, annotations and categories")
        examples += drafts(data, path, result, folder.resolve())
    return _unlike(examples)


def drafts(data: Mapping[str, Any], path: Path, result: ReadResult, root: Path | None = None) -> list[Example]:
    """An example per picture, in order. Raises InvalidRequest naming the entry that is broken.

    A shape that is wrong makes its picture invalid, with the number of the annotation and the reason.
    """
    concepts = _concepts(data, path)
    known = {concept.id for concept in result.concepts}
    result.concepts += [RunConcept(name, name) for name in concepts.values() if name not in known]
    images = dict(_by_id(data["images"], path))
    shapes: dict[Any, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for index, row in enumerate(data["annotations"]):
        where = f"{path}: annotations[{index}]"
        if not isinstance(row, dict) or not _is_key(row.get("image_id"), images):
            raise InvalidRequest(f"{where} is of image_id {shown(_get(row, 'image_id'))}, which no entry of images has")
        if not _is_key(row.get("category_id"), concepts):
            known_ids = f"which no entry of categories has ({len(concepts)} entries)"
            raise InvalidRequest(f"{where} is of category_id {shown(row.get('category_id'))}, {known_ids}")
        shapes[row["image_id"]].append((index, row))
    root = root or path.resolve().parent
    split = _split_told(path, root)
    return _unlike([_example(image, shapes[id_], concepts, path, root, split) for id_, image in images.items()])


def _is_key(value: Any, known: Mapping[Any, Any]) -> bool:
    return isinstance(value, int | str) and value in known


def _get(row: Any, name: str) -> Any:
    return row.get(name) if isinstance(row, dict) else row


def _concepts(data: Mapping[str, Any], path: Path) -> dict[Any, str]:
    """Name by category id."""
    names: dict[Any, str] = {}
    if not isinstance(data.get("categories") or [], list):
        raise InvalidRequest(f"{path}: categories is {shown(data['categories'])}; give a list of an id and a name each")
    for index, row in enumerate(data.get("categories") or []):
        if not isinstance(row, dict) or not isinstance(row.get("id"), int) or not isinstance(row.get("name"), str):
            raise InvalidRequest(f"{path}: categories[{index}] is {shown(row)}; give an id and a name")
        try:
            names[row["id"]] = checked_name(row["name"])
        except InvalidRequest as error:
            raise InvalidRequest(f"{path}: categories[{index}]: {error.details}") from error
    if len(names) < len(data.get("categories") or []):
        raise InvalidRequest(f"{path}: two entries of categories have the same id")
    twice = [shown(name) for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise InvalidRequest(f"{path}: several categories are called {', '.join(twice)}; give each a name of its own")
    return names


def _by_id(images: list[Any], path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    seen: set[Any] = set()
    for index, row in enumerate(images):
        if not isinstance(row, dict) or not isinstance(row.get("id"), int | str):
            raise InvalidRequest(f"{path}: images[{index}] is {shown(row)}; give an id, a file_name, width and height")
        if not isinstance(row.get("file_name"), str) or row["id"] in seen:
            what = "the id of another entry" if row["id"] in seen else "no file_name"
            raise InvalidRequest(f"{path}: images[{index}] (id {shown(row['id'])}) has {what}")
        seen.add(row["id"])
        yield row["id"], row


def _split_told(path: Path, root: Path) -> str:
    """The split that the name of the file (instances_val2017.json) or its folder tells, "" for none."""
    words = [path.stem.lower().rpartition("_")[2].rstrip("0123456789")]
    words += [part.lower() for part in path.resolve().parent.relative_to(root).parts]
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), "")


def _example(
    image: dict[str, Any],
    rows: list[tuple[int, dict[str, Any]]],
    concepts: Mapping[Any, str],
    path: Path,
    root: Path,
    split: str,
) -> Example:
    folder, sub = path.resolve().parent, path.stem.rpartition("_")[2]
    places = [folder, folder / "images", root, root / "images", root / sub, root / "images" / sub]
    file, problem = find_file(image["file_name"], root, places)
    size = tuple(image.get(side) for side in ("width", "height"))
    regions: list[Region] = []
    try:
        if rows and not all(isinstance(side, int) and side > 0 for side in size):
            raise InvalidAnnotation(f"its entry in images has no width and height ({shown(size)})")
        for index, row in rows:
            regions += _regions(row, concepts[row["category_id"]], size, f"annotations[{index}]", regions)
    except InvalidAnnotation as error:
        regions, problem = [], problem or error.details
    labels = image.get("labels") if isinstance(image.get("labels"), dict) else {}
    width, height = (side if isinstance(side, int) else 0 for side in size)
    return Example(
        str(image.get("input_id") or image["file_name"]),
        "",
        split_of(str(image.get("split") or "")) or split,
        {checked_name(name): int(bool(value)) for name, value in (labels or {}).items()},
        width,
        height,
        file,
        problem,
        regions=tuple(regions),
    )


def _regions(row: dict[str, Any], concept: str, size: Any, where: str, before: list[Region]) -> list[Region]:
    try:
        found = row.get("segmentation")
        if isinstance(found, dict):
            return [_mask(found, concept, size)]
        if not found:
            return [_box(row.get("bbox"), concept, size)]
        if not isinstance(found, list) or not all(isinstance(part, list) for part in found):
            raise InvalidAnnotation(f"its segmentation is {shown(found)}; give polygons or run lengths")
        group = 0 if len(found) == 1 else 1 + max((region.group for region in before), default=0)
        return [polygon(concept, _scaled(part, size), group) for part in found]
    except InvalidAnnotation as error:
        raise InvalidAnnotation(f"{where} ({shown(concept)}): {error.details}") from error


def _scaled(pixels: list[Any], size: Any) -> list[float]:
    return [number(value, f"coordinate {n + 1}") / size[n % 2] for n, value in enumerate(pixels)]


def _box(given: Any, concept: str, size: Any) -> Region:
    if not isinstance(given, list) or len(given) != 4:
        raise InvalidAnnotation(f"its bbox is {shown(given)}; give left, top, width and height in pixels")
    left, top, width, height = (number(value, "a value of its bbox") for value in given)
    return box(concept, left / size[0], top / size[1], (left + width) / size[0], (top + height) / size[1])


def _mask(given: dict[str, Any], concept: str, size: Any) -> Region:
    if given.get("size") != [size[1], size[0]]:
        told = f"the mask's size is {shown(given.get('size'))} (height, width)"
        raise InvalidAnnotation(f"{told}, the picture's is {[size[1], size[0]]}")
    counts = given.get("counts")
    runs = unpacked(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list):
        raise InvalidAnnotation(f"the mask's counts are {shown(counts)}; give run lengths")
    return mask(concept, size[0], size[1], runs)


def unpacked(counts: str) -> list[int]:
    """Run lengths of COCO's compressed text: 5 bits a character, differences to the run before last (maskApi.c)."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise InvalidAnnotation(f"the mask's counts hold {shown(character)}, which is no character of run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) and 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise InvalidAnnotation("the mask's counts end within a number")
    return runs


def _unlike(examples: list[Example]) -> list[Example]:
    twice = [shown(id_) for id_, count in Counter(example.id for example in examples).items() if count > 1]
    if twice:
        raise InvalidRequest(f"several entries of images are of {', '.join(twice[:20])}; keep one of each")
    return examples
