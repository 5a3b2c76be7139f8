"""CSV: inputs.csv with inputid, text or image, concepts, negative_concepts, split; pictures in images/ beside it.

A cell that a spreadsheet would run as a formula gets an apostrophe in front, which the reader takes away again.
"""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path

from luthier.data.writers.pictures import Names, put, require_empty, source_of, usable
from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import Example

FILE = "inputs.csv"
_FORMULA = re.compile(r"^'*[=+\-@\t\r]")


def write(folder: Path, examples: Iterable[Example], blob_folder: Path | None = None) -> int:
    """Writes FILE and the pictures into the empty `folder`; returns the number of rows.

    Raises InvalidRequest for regions, conversations, and texts beside pictures, which the columns have no place for.
    """
    rows = list(usable(examples))
    texts = [bool(example.text) for example in rows]
    _refuse(rows, texts)
    require_empty(folder)
    names, column = Names(), "text" if any(texts) else "image"
    with (folder / FILE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["inputid", column, "concepts", "negative_concepts", "split"])
        for example in rows:
            content = example.text or _picture(example, folder, names, blob_folder)
            concepts = [_names(name for name, value in example.labels.items() if value == wanted) for wanted in (1, 0)]
            table.writerow([guarded(cell) for cell in (example.id, content, *concepts, example.split)])
    return len(rows)


def _refuse(rows: list[Example], texts: list[bool]) -> None:
    for example in rows:
        if example.regions or example.messages:
            kind = "regions" if example.regions else "a conversation"
            raise InvalidRequest(f"{shown(example.id)} holds {kind}, which a CSV has no column for; write JSON lines")
    if any(texts) and not all(texts):
        raise InvalidRequest("a CSV holds texts or pictures, not both; write JSON lines")


def _picture(example: Example, folder: Path, names: Names, blob_folder: Path | None) -> str:
    source = source_of(example, blob_folder)
    name = names.of(example, source, "images")
    put(source, folder, name)
    return name


def _names(names: Iterable[str]) -> str:
    """Names between commas; one that holds a comma or a quote in quotes."""
    cell = io.StringIO()
    csv.writer(cell, lineterminator="").writerow(list(names))
    return cell.getvalue()


def guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell
