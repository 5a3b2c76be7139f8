"""Label Studio's JSON export: choices, rectangles, polygons and spans of text. Next: `shapes`.

Coordinates are percent of the picture. Of several annotations of a task the first that was not cancelled counts.
Format: https://labelstud.io/guide/export. Brush masks, ellipses, key points and turned rectangles are not read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from luthier.data.readers.csv import checked_name
from luthier.data.readers.files import find_file
from luthier.data.readers.found import ReadResult, Rejected
from luthier.data.readers.shapes import box, number, polygon, span
from luthier.errors import InvalidAnnotation, InvalidRequest, shown
from luthier.runs.manifest import Example, Region

_KINDS = ("choices", "rectanglelabels", "polygonlabels", "labels")


def fits(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and all(isinstance(one, dict) and "data" in one for one in data)


def drafts(data: list[dict[str, Any]], path: Path, result: ReadResult, keep_good: bool = False) -> list[Example]:
    """An example per task, in order. Raises InvalidRequest naming the tasks that cannot be read, unless `keep_good`."""
    examples, root = [], path.resolve().parent
    for index, task in enumerate(data):
        try:
            examples.append(_example(task, index, root))
            if not task.get("id"):
                result.unnamed.add(examples[-1].id)
        except InvalidRequest as error:
            if not keep_good:
                raise InvalidRequest(f"{path}: task {index + 1} of {len(data)}: {error.details}") from error
            result.rejected.append(Rejected(f"task {index + 1}", error.details))
    return examples


def _example(task: dict[str, Any], index: int, root: Path) -> Example:
    content = task["data"]
    if not isinstance(content, dict) or not isinstance(content.get("image", content.get("text")), str):
        raise InvalidRequest(f"its data is {shown(content)}; give an image or a text")
    id_, text = str(task.get("id") or f"task-{index + 1}"), "" if "image" in content else content["text"]
    path, problem = _find(content["image"], root) if "image" in content else ("", "")
    labels: dict[str, int] = {}
    regions: list[Region] = []
    try:
        for row in _results(task):
            _add(row, labels, regions, len(text))
    except InvalidAnnotation as error:
        regions, problem = [], problem or error.details
    return Example(id_, "", "", labels, path=path, invalid=problem, text=text, regions=tuple(regions))


def _find(address: str, root: Path) -> tuple[str, str]:
    """A picture by Label Studio's own addresses, which name a file of its server: the file may lie beside the JSON."""
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        return find_file(address, root)
    name = parse_qs(parts.query).get("d", [unquote(parts.path)])[0].lstrip("/")
    path, problem = find_file(name, root, [root / "images"])
    if path or "leads out" in problem:
        return path, problem
    return find_file(Path(name).name, root, [root / "images"])


def _results(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = task.get("annotations", task.get("completions")) or []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise InvalidRequest(f"its annotations are {shown(given)}; give a list of objects")
    kept = [one for one in given if not one.get("was_cancelled")]
    rows = kept[0].get("result") or [] if kept else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidRequest(f"its result is {shown(rows)}; give a list of objects")
    return rows


def _add(row: Mapping[str, Any], labels: dict[str, int], regions: list[Region], length: int) -> None:
    kind, value = row.get("type"), row.get("value")
    if kind not in _KINDS or not isinstance(value, dict):
        raise InvalidAnnotation(f"a result is of type {shown(kind)}, which is not read; {', '.join(_KINDS)} are")
    names = value.get(kind)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest(f"the {kind} of a result are {shown(names)}; give a list of names")
    for name in map(checked_name, names):
        try:
            if kind == "choices":
                labels[name] = 1
            else:
                regions.append(_region(kind, name, value, length))
        except InvalidAnnotation as error:
            raise InvalidAnnotation(f"{kind} ({shown(name)}): {error.details}") from error


def _region(kind: str, name: str, value: Mapping[str, Any], length: int) -> Region:
    if kind == "labels":
        return span(name, value.get("start"), value.get("end"), length)
    if value.get("rotation"):
        raise InvalidAnnotation(
            f"the rectangle is turned by {shown(value['rotation'])} degrees; draw a polygon instead"
        )
    if kind == "polygonlabels":
        points = value.get("points")
        if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
            raise InvalidAnnotation(f"its points are {shown(points)}; give pairs of percent")
        return polygon(name, [number(side, "a coordinate") / 100 for point in points for side in point])
    left, top, width, height = (number(value.get(side), side) / 100 for side in ("x", "y", "width", "height"))
    return box(name, left, top, left + width, top + height)
