"""CSV and TSV: text,label | image,label | inputid,input,concepts; other names by `columns`. Next: `csv_rows`.

text | image | input     the text, or the path of a picture beside the file; `input` may be either
label                    one concept, as it stands
concepts                 several, between commas; one that holds a comma in quotes
negative_concepts        concepts that the input is not
inputid (or id), split   both may be missing

Further columns, and the portal's names for all of them: `csv_columns`.
"""

import csv
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from luthier.data.readers.csv_columns import PORTAL, extra_of, is_address, portal_labels, with_portal_names
from luthier.data.readers.csv_rows import LISTED, Problems, mapped, read_rows
from luthier.data.readers.files import find_file, looks_like_picture
from luthier.data.readers.found import ReadResult, Rejected, name_problem
from luthier.data.readers.splitting import SPLIT_NAMES
from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import SPLITS, Example

CONTENT = ("text", "image", "input")
COLUMNS = (*CONTENT, "label", "concepts", "negative_concepts", "inputid", "id", "split", "metadata", "geopoints")
ENDINGS = (".csv", ".tsv", ".tab")


@dataclass(frozen=True, slots=True)
class _Table:
    root: Path  # resolved; pictures lie below it
    names: dict[str, str]  # our name of a column -> the file's
    contents: dict[str, bool]  # the file's name of a column that holds inputs -> whether these are pictures
    empty_texts: bool = False  # whether a row may lack its text

    def content(self, cells: Mapping[str, str]) -> tuple[str, bool]:
        """What a row holds, and whether that names a picture. Raises InvalidRequest where it holds nothing, or two."""
        filled = [name for name in self.contents if cells[name].strip()]
        if not filled and self.empty_texts and not any(self.contents.values()):
            return "", False
        if len(filled) != 1:
            names = " and its ".join(self.contents)
            raise InvalidRequest(f"its {names} {'are both given' if filled else 'is empty'}")
        return cells[filled[0]], self.contents[filled[0]]


def drafts(
    path: Path, result: ReadResult, columns: Mapping[str, str] | None = None, keep_good: bool = False
) -> list[Example]:
    """An example per row, in order. Raises InvalidRequest naming rows that cannot be read, unless `keep_good`."""
    problems = Problems(path)
    header, rows = read_rows(path, problems)
    table = replace(_table(path, header, columns, [cells for _, cells in rows]), empty_texts=result.empty_texts)
    examples: dict[str, tuple[int, Example]] = {}
    for number, cells in rows:
        try:
            example = _example(table, number, cells)
        except InvalidRequest as error:
            problems.add(number, error.details)
            continue
        if example.id in examples:
            problems.add(number, _twice(example.id, examples[example.id][0], table))
        else:
            examples[example.id] = number, example
            _note(table, cells, example, result)
    if not keep_good:
        problems.refuse()
    result.rejected += [Rejected(f"row {number}", reason) for number, reason in sorted(problems.rows.items())]
    return [example for _, example in examples.values()]


def _twice(id_: str, first: int, table: _Table) -> str:
    if "inputid" in table.names or "id" in table.names:
        return f"the id {shown(id_)} stands in row {first} already"
    return f"{shown(id_)} stands in row {first} already; give several labels in one row, in a column `concepts`"


def _table(path: Path, header: list[str], columns: Mapping[str, str] | None, rows: list[dict[str, str]]) -> _Table:
    names = with_portal_names(mapped(columns, COLUMNS, header, path), header)
    given = [name for name in CONTENT if name in names]
    portal = [name for name in given if names[name] == PORTAL.get(name)]
    if (len(given) != 1 and given != portal) or not given:
        listed = ", ".join(shown(name) for name in header[:LISTED])
        raise InvalidRequest(
            f"{path}: one column must be called text, image or input, {len(given) or 'none'} are; it has {listed}. "
            "Columns may be text,label or image,label or inputid,input,concepts; tell other names as columns, "
            "say image=file"
        )
    if "label" in names and "concepts" in names:
        raise InvalidRequest(f"{path} has both a column label and a column concepts; keep one of them")
    contents = {names[name]: name == "image" or (name == "input" and _pictures(rows, names[name])) for name in given}
    return _Table(path.resolve().parent, names, contents)


def _pictures(rows: list[dict[str, str]], column: str) -> bool:
    """Whether every cell names a picture, by its ending or an address."""
    return bool(rows) and all(looks_like_picture(row[column]) or is_address(row[column]) for row in rows)


def _note(table: _Table, cells: Mapping[str, str], example: Example, result: ReadResult) -> None:
    """What else a row tells: whether it has an id, and what `Extra` holds."""
    content, is_picture = table.content(cells)
    if not _id(table, cells) and (not is_picture or is_address(content)):
        result.unnamed.add(example.id)
    url = content.strip() if is_picture and is_address(content) else ""
    if extra := extra_of(_cell(table, cells, "metadata"), _cell(table, cells, "geopoints"), url):
        result.extras[example.id] = extra


def _cell(table: _Table, cells: Mapping[str, str], name: str) -> str:
    return cells[table.names[name]] if name in table.names else ""


def _id(table: _Table, cells: Mapping[str, str]) -> str:
    return _cell(table, cells, "inputid") or _cell(table, cells, "id")


def _example(table: _Table, number: int, cells: Mapping[str, str]) -> Example:
    told = [_cell(table, cells, name) for name in ("label", "concepts", "negative_concepts")]
    labels = _labels(*told) | {checked_name(name): value for name, value in portal_labels(cells).items()}
    content, is_picture = table.content(cells)
    id_ = _id(table, cells) or (content if is_picture else f"row-{number}")
    split = split_of(_cell(table, cells, "split"))
    extra_of(_cell(table, cells, "metadata"), _cell(table, cells, "geopoints"), "")  # so that a wrong one is this row's
    if not is_picture:
        return Example(id_, "", split, labels, text=content)
    path, problem = find_file(content.strip(), table.root)
    return Example(id_, "", split, labels, path=path, invalid=problem)


def _labels(label: str, concepts: str, negative: str) -> dict[str, int]:
    positives = [checked_name(label)] if label.strip() else _several(concepts)
    labels = dict.fromkeys(positives, 1)
    for name in _several(negative):
        if labels.get(name):
            raise InvalidRequest(f"{shown(name)} stands among its concepts and its negative concepts; keep one")
        labels[name] = 0
    return labels


def _several(cell: str) -> list[str]:
    if not cell.strip():
        return []
    try:
        names = next(csv.reader([cell], strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration) as error:
        raise InvalidRequest(f"the concepts {shown(cell)} are not names between commas: {error}") from error
    return [checked_name(name) for name in names if name.strip()]


def checked_name(name: str) -> str:
    """A concept's name in NFC without outer spaces; raises InvalidRequest."""
    clean = unicodedata.normalize("NFC", name).strip()
    if problem := name_problem(clean):
        raise InvalidRequest(f"the concept {shown(name)} cannot be used: {problem}")
    return clean


def split_of(name: str) -> str:
    """One of SPLITS, or "" where none is named; raises InvalidRequest."""
    if not name.strip():
        return ""
    split = SPLIT_NAMES.get(name.strip().lower())
    if not split:
        raise InvalidRequest(f"its split is {shown(name)}; give one of {', '.join(SPLITS)}, or nothing")
    return split
