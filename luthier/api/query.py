"""Query parameters with dots -> the values that `json_reader` reads. Next: `rest`."""

from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from luthier.errors import BadRequestFormat, InvalidKey, shown

MOST_PARAMETERS = 1000
TOKEN_NAMES = {"key", "token", "access_token", "api_key", "pat"}

_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_FROM_TEXT = {"Timestamp", "Duration", "Int32Value", "UInt64Value", "BoolValue"}


def values_of(descriptor: Descriptor, query: bytes) -> dict[str, Any]:
    """`a.b=1&ids=x&ids=y` as {"a": {"b": "1"}, "ids": ["x", "y"]}; names that the message lacks are left out.

    Raises BadRequestFormat (a single value given twice, not UTF-8) and InvalidKey (a token in the URL).
    """
    result: dict[str, Any] = {}
    for name, text in _pairs(query):
        if name in TOKEN_NAMES:
            raise InvalidKey(
                "a token in the URL is not accepted, it would end in logs; send `Authorization: Key <token>`"
            )
        _put(result, descriptor, name, name.split("."), text)
    return result


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        text = query.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except UnicodeDecodeError:
        raise BadRequestFormat("the query is not percent-encoded UTF-8") from None
    except ValueError:
        raise BadRequestFormat(f"the query has over {MOST_PARAMETERS} parameters") from None


def _put(result: dict[str, Any], descriptor: Descriptor, full: str, path: list[str], text: str) -> None:
    field = _field(descriptor, path[0])
    if field is None:
        return
    if len(path) > 1:
        if field.message_type is None or field.is_repeated:
            raise BadRequestFormat(f"the parameter {shown(full)!r} goes below {field.name}, which has no fields")
        _put(result.setdefault(field.name, {}), field.message_type, full, path[1:], text)
        return
    value = _value(field, full, text)
    if field.is_repeated:
        result.setdefault(field.name, []).append(value)
    elif field.name in result:
        raise BadRequestFormat(f"the parameter {shown(full)!r} is given twice; it takes one value")
    else:
        result[field.name] = value


def _field(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    return descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)


def _value(field: FieldDescriptor, full: str, text: str) -> str | bool:
    truth = field.cpp_type == FieldDescriptor.CPPTYPE_BOOL
    if field.message_type is not None:
        if field.message_type.name not in _FROM_TEXT:
            raise BadRequestFormat(
                f"the parameter {shown(full)!r} takes no value itself; name a field of it after a dot"
            )
        truth = field.message_type.name == "BoolValue"
    if not truth:
        return text
    if text.lower() not in _TRUTH:
        raise BadRequestFormat(f"the parameter {shown(full)!r} is {shown(text)!r}: give true or false")
    return _TRUTH[text.lower()]
