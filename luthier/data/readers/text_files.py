"""Text and JSON that strangers wrote: strict UTF-8 with the offset of what is wrong, no doubled keys. Next: `csv`."""

import json
from pathlib import Path
from typing import Any

from luthier.errors import InvalidRequest, shown

MOST_BYTES = 2 * 2**30
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path) -> str:
    """The whole file, without its byte order mark. Raises InvalidRequest naming the byte that is not UTF-8."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise InvalidRequest(f"{path} has {size} bytes; the most is {MOST_BYTES}: cut it into several files")
    data = path.read_bytes()
    if data.startswith(_UTF_16):
        raise InvalidRequest(f"{path} is UTF-16 (its first bytes at offset 0 say so); save it as UTF-8")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidRequest(
            f"{path} is not UTF-8: byte {error.start} (in line {line}) is 0x{data[error.start]:02x}; save it as UTF-8"
        ) from error


def parse_json(text: str, where: str) -> Any:
    """JSON without doubled keys, NaN or infinities; raises InvalidRequest with line and column."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refused)
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        return found
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"{where}: this is not JSON: {error.msg} at {at}") from error
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{where}: an escape like \\ud800 stands without its other half; it is no text") from error
    except ValueError as error:
        raise InvalidRequest(f"{where}: {error}") from error
    except RecursionError as error:
        raise InvalidRequest(f"{where}: the JSON is nested too deeply") from error


def read_json(path: Path) -> Any:
    return parse_json(read_text(path), str(path))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice in one object; keep one")
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
