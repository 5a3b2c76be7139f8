"""The rows of a CSV or TSV file, and what is wrong with each. Next: `csv`, which knows what the columns mean.

Row numbers count records, the header being row 1, as a spreadsheet shows them. Nothing is guessed or repaired.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from luthier.data.readers.text_files import read_text
from luthier.errors import InvalidRequest, shown

MOST_COLUMNS = 1000
MOST_CELL = 20 * 2**20  # characters, as much as a text may have
LISTED = 20
GUARDED = re.compile(r"^'+[=+\-@\t\r]")  # how writers keep spreadsheets from running a cell as a formula
ENDINGS = {"\n": "LF", "\r\n": "CR LF", "\r": "CR"}


class Problems:
    """What is wrong with which row; raised together at the end, unless the good rows are to be kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[int, str] = {}

    def add(self, row: int, reason: str) -> None:
        self.rows.setdefault(row, reason)

    def refuse(self) -> None:
        """Raises InvalidRequest naming the first rows."""
        if not self.rows:
            return
        first = "; ".join(f"row {row}: {reason}" for row, reason in sorted(self.rows.items())[:LISTED])
        more = f"; and {len(self.rows) - LISTED} more" if len(self.rows) > LISTED else ""
        raise InvalidRequest(
            f"{self._path}: {len(self.rows)} rows cannot be read. {first}{more}. Correct them, or keep the good rows"
        )


class _Lines:
    """Physical lines of a text, remembering how the last one ended."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.ending = ""

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.ending = "\r\n" if line.endswith("\r\n") else line[-1:]
            yield line


def read_rows(path: Path, problems: Problems) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """(header, [(row number, cell by column)]). Raises InvalidRequest where the file as a whole makes no sense."""
    lines = _Lines(read_text(path))
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    before = csv.field_size_limit(MOST_CELL)
    try:
        records = _records(lines, delimiter, path)
        header = _checked_header(next(records, None), path, delimiter)
        ending, rows = lines.ending, []
        for number, cells in enumerate(records, start=2):
            if problem := _row_problem(cells, header, ending, lines.ending):
                problems.add(number, problem)
            elif cells:
                rows.append((number, dict(zip(header, map(unguarded, cells), strict=True))))
    finally:
        csv.field_size_limit(before)
    return header, rows


def _records(lines: _Lines, delimiter: str, path: Path) -> Iterator[list[str]]:
    """Records of the file; raises InvalidRequest with the row where quotes or cells go wrong."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    row, line = 0, 1
    while True:
        row, line = row + 1, reader.line_num + 1
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            what = str(error)
            if "unexpected end" in what:
                what = "a quote is opened and never closed; close it, and write a quote inside a cell twice"
            elif "field larger" in what:
                what = f"a cell has more than {MOST_CELL} characters, or a quote is never closed"
            raise InvalidRequest(f"{path}: row {row}, which begins in line {line}: {what}") from error


def _checked_header(header: list[str] | None, path: Path, delimiter: str) -> list[str]:
    if not header:
        raise InvalidRequest(f"{path}: row 1 is empty; it must hold the names of the columns")
    if len(header) > MOST_COLUMNS:
        raise InvalidRequest(f"{path}: row 1 has {len(header)} columns; the most is {MOST_COLUMNS}")
    names = [name.strip() for name in header]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        listed = ", ".join(shown(name) or "(no name)" for name in twice[:LISTED])
        raise InvalidRequest(f"{path}: row 1 names columns twice: {listed}; give each a name of its own")
    if len(names) == 1 and any(other in names[0] for other in ";\t,"):
        wanted = "a tab (name the file .tsv)" if "\t" in names[0] else "a comma (.csv) or a tab (.tsv)"
        used = "a tab" if delimiter == "\t" else "a comma"
        raise InvalidRequest(
            f"{path}: row 1 is one column, {shown(names[0])!r}, when cut at {used}; between columns stands {wanted}"
        )
    return names


def _row_problem(cells: list[str], header: list[str], ending: str, own_ending: str) -> str:
    if not cells:
        return ""
    if len(cells) != len(header):
        return f"it has {len(cells)} cells, the header has {len(header)}"
    if [cell.strip() for cell in cells] == header:
        return "it repeats the header"
    if own_ending in ENDINGS and own_ending != ending:
        return f"it ends with {ENDINGS[own_ending]}, the header with {ENDINGS.get(ending, 'nothing')}"
    return ""


def unguarded(cell: str) -> str:
    """A cell without the apostrophe that keeps a spreadsheet from running it."""
    return cell[1:] if GUARDED.match(cell) else cell


def mapped(columns: Mapping[str, str] | None, known: tuple[str, ...], header: list[str], path: Path) -> dict[str, str]:
    """Our name -> the file's name for each column that is there; raises InvalidRequest for a mapping that fits not."""
    for ours, theirs in (columns or {}).items():
        if ours not in known:
            raise InvalidRequest(f"columns: {shown(ours)!r} is not known; give one of {', '.join(known)}")
        if theirs not in header:
            raise InvalidRequest(f"{path} has no column {shown(theirs)!r} for {ours}; it has {_listed(header)}")
    wanted = {name: (columns or {}).get(name, name) for name in known}
    taken = set((columns or {}).values())
    return {
        ours: theirs
        for ours, theirs in wanted.items()
        if theirs in header and (ours in (columns or {}) or theirs not in taken)
    }


def _listed(header: list[str]) -> str:
    text = ", ".join(shown(name) for name in header[:LISTED])
    return f"{text} and {len(header) - LISTED} more" if len(header) > LISTED else text
