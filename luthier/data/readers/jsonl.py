"""JSON lines (and JSON lists): labelled rows, and texts to learn from in four forms. Next: `conversations`.

    {"text" | "image": …, "label": name}                          or "labels": [name, …] or {name: 1 | 0}
    {"messages": [{"role", "content"}]}, {"conversations": [{"from", "value"}]}          (sharegpt)
    {"instruction", "input", "output"}                                                   (alpaca)
    {"prompt", "completion"}, or {"text"} alone

Any row may have "id", "split" and "regions" (`luthier/runs/manifest`'s, which `writers/jsonl` writes).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from luthier.data.readers.conversations import messages_of
from luthier.data.readers.csv import checked_name, split_of
from luthier.data.readers.csv_rows import Problems
from luthier.data.readers.files import find_file
from luthier.data.readers.found import ReadResult, Rejected
from luthier.data.readers.shapes import box, mask, polygon, span
from luthier.data.readers.text_files import parse_json, read_text
from luthier.errors import InvalidAnnotation, InvalidRequest, shown
from luthier.runs.manifest import Example, Region

COLUMNS = ("text", "image", "label", "labels", "id", "split")
ENDINGS = (".jsonl", ".ndjson")


def drafts(
    path: Path, result: ReadResult, columns: Mapping[str, str] | None = None, keep_good: bool = False
) -> list[Example]:
    """An example per line, in order. Raises InvalidRequest naming lines that cannot be read, unless `keep_good`."""
    problems = Problems(path)
    lines = list(enumerate(read_text(path).split("\n"), start=1))
    rows = ((number, _parsed(line, number, problems)) for number, line in lines if line.strip())
    examples = _examples(rows, path, columns, problems, result)
    return _settled(examples, result, problems, keep_good)


def drafts_of_list(
    rows: list[Any], path: Path, result: ReadResult, columns: Mapping[str, str] | None = None, keep_good: bool = False
) -> list[Example]:
    """The same for a JSON file that is one list; rows count from 1."""
    problems = Problems(path)
    examples = _examples(enumerate(rows, start=1), path, columns, problems, result)
    return _settled(examples, result, problems, keep_good)


def _parsed(line: str, number: int, problems: Problems) -> Any:
    try:
        return parse_json(line, f"line {number}")
    except InvalidRequest as error:
        problems.add(number, error.details)
        return None


def _settled(examples: list[Example], result: ReadResult, problems: Problems, keep_good: bool) -> list[Example]:
    if not keep_good:
        problems.refuse()
    result.rejected += [Rejected(f"row {number}", reason) for number, reason in sorted(problems.rows.items())]
    return examples


def _examples(
    rows: Iterable[tuple[int, Any]],
    path: Path,
    columns: Mapping[str, str] | None,
    problems: Problems,
    result: ReadResult,
) -> list[Example]:
    for name in columns or {}:
        if name not in COLUMNS:
            raise InvalidRequest(f"columns: {shown(name)!r} is not known; give one of {', '.join(COLUMNS)}")
    root = path.resolve().parent
    examples: dict[str, Example] = {}
    for number, row in rows:
        if number in problems.rows:
            continue
        try:
            renamed = _renamed(row, columns or {})
            example = _example(renamed, number, root, empty_texts=result.empty_texts)
            if example.id in examples:
                raise InvalidRequest(f"the id {shown(example.id)} was given to a row before")
            examples[example.id] = example
            if "id" not in renamed and "image" not in renamed:
                result.unnamed.add(example.id)
        except InvalidRequest as error:
            problems.add(number, error.details)
    return list(examples.values())


def _renamed(row: Any, columns: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise InvalidRequest(f"it is {shown(row)}; give an object in braces")
    missing = [theirs for theirs in columns.values() if theirs not in row]
    if missing:
        raise InvalidRequest(f"it has no key {shown(missing[0])}")
    by_theirs: dict[str, str] = {theirs: ours for ours, theirs in columns.items()}
    kept = {key: value for key, value in row.items() if key in by_theirs or key not in columns}
    return {by_theirs[key] if key in by_theirs else str(key): value for key, value in kept.items()}


def _example(row: dict[str, Any], number: int, root: Path, *, empty_texts: bool) -> Example:
    messages = messages_of(row)
    path, problem, text = "", "", ""
    if not messages and "image" in row:
        path, problem = find_file(_string(row, "image"), root)
    elif not messages:
        if "text" not in row:
            raise InvalidRequest(
                f"none of its keys is known ({_keys(row)}); see the forms of rows in docs/how-to/data.md"
            )
        text = "" if empty_texts and row["text"] in (None, "") else _string(row, "text")
    id_ = _string(row, "id") if "id" in row else str(row["image"]) if path or problem else f"row-{number}"
    split, labels = split_of(str(row.get("split") or "")), _labels(row)
    if not isinstance(row.get("regions") or [], list):
        raise InvalidRequest(f"its regions are {shown(row['regions'])}; give a list")
    try:
        regions = tuple(_region(region, len(text)) for region in row.get("regions") or ())
    except InvalidAnnotation as error:
        regions, problem = (), problem or error.details
    size = [row.get(name) if isinstance(row.get(name), int) else 0 for name in ("width", "height")]
    return Example(id_, "", split, labels, size[0] or 0, size[1] or 0, path, problem, text, messages, regions)


def _keys(row: Mapping[str, Any]) -> str:
    return ", ".join(shown(name, 40) for name in list(row)[:10]) or "it has none"


def _string(row: Mapping[str, Any], name: str) -> str:
    if not isinstance(row[name], str) or not row[name]:
        raise InvalidRequest(f"its {name} is {shown(row[name])}; give text in quotes")
    value: str = row[name]
    return value


def _labels(row: Mapping[str, Any]) -> dict[str, int]:
    given = row.get("labels", row.get("concepts"))
    if row.get("label") is not None:
        given = [row["label"]]
    if isinstance(given, list):
        given = dict.fromkeys((_name(name) for name in given), 1)
    if given is None:
        return {}
    if not isinstance(given, dict) or any(isinstance(value, bool) or value not in (0, 1) for value in given.values()):
        raise InvalidRequest(f"its labels are {shown(given)}; give a list of names, or names with 1 (is) or 0 (is not)")
    return {checked_name(name): value for name, value in given.items()}


def _name(name: Any) -> str:
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise InvalidRequest(f"its label is {shown(name)}; give a name in quotes")
    return str(name)


def _region(row: Any, length: int) -> Region:
    """A region, checked as any reader's; `length` is that of the text."""
    if not isinstance(row, dict) or not isinstance(row.get("concept"), str):
        raise InvalidRequest(f"a region is {shown(row)}; give an object with kind, concept and points or runs")
    concept, points, runs = checked_name(row["concept"]), row.get("points", []), row.get("runs", [])
    group = row.get("group", 0)
    if not isinstance(points, list) or not isinstance(runs, list) or not isinstance(group, int):
        raise InvalidRequest("a region's points and runs are lists of numbers, its group is a whole number")
    match row.get("kind"), len(points), len(runs) > 2:
        case "box", 4, _:
            return box(concept, points[0], points[1], points[2], points[3], group)
        case "polygon", _, _:
            return polygon(concept, points, group)
        case "mask", _, True if isinstance(runs[0], int) and isinstance(runs[1], int):
            return mask(concept, runs[0], runs[1], runs[2:], group)
        case "span", 2, _:
            return span(concept, points[0], points[1], length)
    raise InvalidRequest(f"a region is {shown(row)}; see Region in docs/design/data.md")
