"""The few keys of YOLO's data.yaml, read without a YAML library: path, train, val, test, names. Next: `yolo`.

Plain values, lists in brackets or with dashes, and names by number. Anything cleverer is refused with its line.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from luthier.data.readers.text_files import read_text
from luthier.errors import InvalidRequest, shown

_KEY = re.compile(r"^([A-Za-z_][\w-]*)\s*:(?:\s+(.*)|)$")
_ITEM = re.compile(r"^\s*(?:-\s+|(\d+)\s*:\s+)(.*)$")
_ONE = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,"'\[\]{}]+)\s*""")
_CLEVER = ("&", "*", "!", "|", ">", "{", "@", "`", "%")


@dataclass
class DataYaml:
    """`places` gives a split's folders or lists, as written, below `path` where that is given."""

    names: dict[int, str] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)


def read_data_yaml(path: Path) -> DataYaml:
    """Raises InvalidRequest with the line that is not understood."""
    keys: dict[str, list[tuple[int, str]]] = {}
    current = ""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        text = _without_comment(line)
        where = f"{path}: line {number}"
        if not text.strip() or text.strip() in ("---", "..."):
            continue
        if key := _KEY.match(text):
            current, value = key[1], (key[2] or "").strip()
            keys[current] = list(enumerate(_listed(value, where))) if current in _WANTED and value else []
        elif current in _WANTED:
            _add_item(text, keys[current], where)
    return _told(keys, path)


_WANTED = ("path", "train", "val", "valid", "test", "names")


def _told(keys: dict[str, list[tuple[int, str]]], path: Path) -> DataYaml:
    told = DataYaml(dict(keys.get("names", [])))
    base = "".join(value for _, value in keys.get("path", []))
    for key, split in (("train", "train"), ("valid", "val"), ("val", "val"), ("test", "test")):
        values = [value for _, value in keys.get(key, []) if value]
        if values:
            told.places[split] = [_below(base, value, path) for value in values]
    if not told.places:
        raise InvalidRequest(f"{path} names neither train nor val nor test; give folders of pictures")
    return told


def _below(base: str, place: str, path: Path) -> str:
    """`path` of data.yaml is often where its author kept the data: it counts where it is here too."""
    joined = f"{base}/{place}" if base not in ("", ".") and (path.parent / base / place).exists() else place
    return joined.removeprefix("./").removeprefix(f"{path.resolve().parent}/")


def _without_comment(line: str) -> str:
    return line if '"' in line or "'" in line else re.sub(r"(^|\s)#.*$", "", line).rstrip()


def _add_item(text: str, items: list[tuple[int, str]], where: str) -> None:
    item = _ITEM.match(text)
    if item is None:
        raise InvalidRequest(f"{where}: {shown(text.strip())} is not understood; write a list as [a, b] or - a")
    items.append((int(item[1]) if item[1] else len(items), _scalar(item[2].strip(), where)))


def _listed(value: str, where: str) -> list[str]:
    """The values of `[a, "b"]`, over one line, or the one value."""
    if not value.startswith("["):
        return [] if value in ("null", "~") else [_scalar(value, where)]
    rest, values = value[1:].rstrip(), []
    while not rest.startswith("]"):
        item = _ONE.match(rest)
        if item is None or rest[item.end() : item.end() + 1] not in (",", "]"):
            raise InvalidRequest(f"{where}: {shown(value)} is not a list in brackets on one line")
        values.append(_scalar(item[1].strip(), where))
        rest = rest[item.end() :].removeprefix(",").lstrip()
    return values


def _scalar(text: str, where: str) -> str:
    try:
        if text.startswith('"'):
            return str(json.loads(text))
    except ValueError as error:
        raise InvalidRequest(f"{where}: {shown(text)} is not understood; close the quotes") from error
    if text.startswith("'") and text.endswith("'") and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if not text or text.startswith(_CLEVER) or text.startswith("'"):
        raise InvalidRequest(f"{where}: {shown(text) or 'nothing'} is not understood; write a plain value")
    return text
