"""JSON text -> Python values, stricter than the standard parser. Next: `json_reader`, which makes messages of them."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

from luthier.errors import BadRequestFormat, shown

MAX_DEPTH = 32

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(body: bytes | bytearray) -> Any:
    """The value of a whole UTF-8 document. Raises BadRequestFormat, which tells line and column.

    Refused beyond what the standard parser refuses: duplicate keys, NaN and Infinity, more than MAX_DEPTH levels,
    lone surrogates, a byte order mark, any other encoding.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"byte {error.start} cannot be read"
        raise BadRequestFormat(f"the body is not UTF-8: {where}; send JSON in UTF-8") from None
    value = _decode(text)
    _check_depth(value)
    if _SURROGATE.search(body):
        _check_surrogates(value)
    return value


def _decode(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        if text.startswith("\ufeff"):
            raise BadRequestFormat("the body starts with a byte order mark; send plain UTF-8") from None
        where = f"line {error.lineno} column {error.colno}"
        raise BadRequestFormat(f"the body is not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # an integer of thousands of digits
        raise BadRequestFormat(f"the body is not JSON: {shown(str(error))}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = next(name for name in times if times[name] > 1)
        raise BadRequestFormat(f"the key {shown(twice)!r} stands twice in one object; send it once")
    return result


def _not_a_number(name: str) -> NoReturn:
    raise BadRequestFormat(f"the body is not JSON: {name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_not_a_number)


def _too_deep() -> BadRequestFormat:
    return BadRequestFormat(f"the body is nested too deeply (max {MAX_DEPTH})")


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise _too_deep()


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def _check_surrogates(value: Any) -> None:
    for text in _strings(value):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise BadRequestFormat(f"{shown(text)!r} holds half of a surrogate pair, which is no character") from None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
