"""One JSON value -> what a field of a message takes: numbers, texts, bytes, enums, times, structs. Next: `json_reader`.

Stricter than the proto3 JSON mapping in two things: numbers must be finite, base64 must be exact.
"""

import binascii
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from luthier.errors import BadRequestFormat, InvalidBytes, LuthierError, shown

LARGEST_EXACT = 2**53  # integers beyond are no longer exact as a double
LARGEST_FLOAT = 3.4028234663852886e38
LARGEST_FLOAT_ROUNDING = 3.4028235677973366e38  # what still rounds down to it

Convert = Callable[[Any], Any]  # JSON value -> what the field takes; raises ValueError with what would be right


class MisfitError(Exception):
    """A value that does not fit its field. The path grows on the way out, so that reading good values costs nothing."""

    def __init__(self, value: object, wanted: str, kind: type[LuthierError] = BadRequestFormat) -> None:
        super().__init__(wanted)
        self.value, self.wanted, self.kind = value, wanted, kind
        self.path: list[str] = []

    def error(self) -> LuthierError:
        path = ".".join(reversed(self.path)).replace(".[", "[") or "the body"
        return self.kind(f"{path} is {shown(self.value)!r}: {self.wanted}")


# -- scalars -----------------------------------------------------------------------------------------------------------


def _integer(low: int, high: int) -> Convert:
    wanted = f"give a whole number from {low} to {high}"

    def convert(value: Any) -> int:
        if isinstance(value, str):
            value = _number_from(value, wanted)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise MisfitError(value, wanted)
        return value

    return convert


def _number_from(text: str, wanted: str) -> int | float:
    if not text.isascii() or text != text.strip() or "_" in text:
        raise MisfitError(text, wanted)
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise MisfitError(text, wanted) from None


def _float(largest: float) -> Convert:
    wanted = "give a finite number"

    def convert(value: Any) -> float:
        if isinstance(value, str):
            value = _number_from(value, wanted)
        if type(value) not in (int, float) or not -largest <= value <= largest:
            raise MisfitError(value, wanted)
        return float(value)

    return convert


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise MisfitError(value, "give true or false")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise MisfitError(value, "give a text")
    return value


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise MisfitError(value, "give bytes as base64 text", InvalidBytes)
    text = value.replace("-", "+").replace("_", "/") if "-" in value or "_" in value else value
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        hint = "; leave out everything up to the comma" if value.startswith("data:") else ""
        wanted = f"not base64, which has A-Z a-z 0-9 + / and padding, no line breaks{hint}"
        raise MisfitError(value, wanted, InvalidBytes) from None


_NUMBER = re.compile("-?[0-9]{1,10}")


def _enum(descriptor: EnumDescriptor) -> Convert:
    by_name, by_number = descriptor.values_by_name, descriptor.values_by_number

    def convert(value: Any) -> int:
        if isinstance(value, str) and value in by_name:
            number: int = by_name[value].number
            return number
        known = value
        if isinstance(known, str) and _NUMBER.fullmatch(known):
            known = int(known)
        if isinstance(known, float) and known.is_integer():
            known = int(known)
        if type(known) is not int or known not in by_number:
            raise MisfitError(value, f"give a name or a number of {descriptor.full_name}: {_some(by_name)}")
        return known

    return convert


def _some(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:12]) + (", …" if len(listed) > 12 else "")


_SCALARS: dict[int, Convert] = {
    FieldDescriptor.CPPTYPE_INT32: _integer(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: _integer(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: _integer(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: _integer(0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_FLOAT: _float(LARGEST_FLOAT_ROUNDING),
    FieldDescriptor.CPPTYPE_DOUBLE: _float(1.7976931348623157e308),
    FieldDescriptor.CPPTYPE_BOOL: _boolean,
    FieldDescriptor.CPPTYPE_STRING: _text,
}


def converter(descriptor: FieldDescriptor) -> Convert:
    if descriptor.type == FieldDescriptor.TYPE_BYTES:
        return _bytes
    if descriptor.enum_type is not None:
        return _enum(descriptor.enum_type)
    return _SCALARS[descriptor.cpp_type]


# -- well-known types --------------------------------------------------------------------------------------------------

ReadInto = Callable[[Any, Any], None]  # (JSON value, message)


def _from_json_string(wanted: str) -> ReadInto:
    def read_into(value: Any, message: Any) -> None:
        try:
            message.FromJsonString(value)
        except (ValueError, TypeError, AttributeError):
            raise MisfitError(value, wanted) from None

    return read_into


def _wrapped(convert: Convert) -> ReadInto:
    def read_into(value: Any, message: Any) -> None:
        message.value = convert(value)

    return read_into


def _value(value: Any, message: Any) -> None:
    kind = type(value)
    if kind is str:
        message.string_value = value
    elif kind is bool:
        message.bool_value = value
    elif kind in (int, float):
        message.number_value = _double(value)
    elif value is None:
        message.null_value = 0
    elif kind is dict:
        _struct(value, message.struct_value)
    else:
        _list(value, message.list_value)


def _double(value: int | float) -> float:
    if isinstance(value, int) and abs(value) > LARGEST_EXACT:
        raise MisfitError(value, "too large to be exact as a number; send it as text")
    if value in (float("inf"), float("-inf")):
        raise MisfitError(value, "give a finite number")
    return float(value)


def _struct(value: Any, message: Any) -> None:
    if type(value) is not dict:
        raise MisfitError(value, "give an object")
    message.SetInParent()
    fields = message.fields
    for key, inner in value.items():
        try:
            _value(inner, fields[key])
        except MisfitError as misfit:
            misfit.path.append(key)
            raise


def _list(value: Any, message: Any) -> None:
    if type(value) is not list:
        raise MisfitError(value, "give a list")
    message.SetInParent()
    for inner in value:
        _value(inner, message.values.add())


_TIME = "give a time such as 2026-01-31T12:00:00Z"
WELL_KNOWN: dict[str, ReadInto] = {
    "google.protobuf.Timestamp": _from_json_string(_TIME),
    "google.protobuf.Duration": _from_json_string('give a duration such as "308s"'),
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _value,
    "google.protobuf.ListValue": _list,
    "google.protobuf.BoolValue": _wrapped(_boolean),
    "google.protobuf.Int32Value": _wrapped(_SCALARS[FieldDescriptor.CPPTYPE_INT32]),
    "google.protobuf.UInt64Value": _wrapped(_SCALARS[FieldDescriptor.CPPTYPE_UINT64]),
}
