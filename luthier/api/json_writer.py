"""Message -> JSON text, by plans worked out once per message type. Next: `rest`.

Rules: proto names, enums as numbers, 64-bit integers as text, float32 as the shortest number that reads back the same,
fields marked cl_show_if_empty though empty, and in an Input's own media dHJ1ZQ== (base64 of "true") for the bytes.
"""

import binascii
import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from clarifai_grpc.grpc.api.utils import extensions_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

ECHO = "dHJ1ZQ=="  # instead of the bytes that a client has sent
AGAIN_BYTES = 8192  # larger responses are seldom asked for twice

Convert = Callable[[Any], Any]

_POOL = Default()

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode


def write(message: Message) -> bytes:
    return _ENCODE(as_values(message)).encode("utf-8")


def write_response(response: Any) -> bytes:
    """A response, whose status tells a new req_id each time; the rest is often what was asked for a moment ago."""
    status = _ENCODE(as_values(response.status))
    response.ClearField("status")
    data = response.SerializeToString()
    rest = _again(response.DESCRIPTOR.full_name, data) if len(data) <= AGAIN_BYTES else _ENCODE(as_values(response))
    return f'{{"status":{status}{"," if len(rest) > 2 else ""}{rest[1:]}'.encode()


@lru_cache(maxsize=1024)
def _again(kind: str, data: bytes) -> str:
    """Text is a function of the message's bytes alone, so it may be kept. `kind` is the message type's full name."""
    return _ENCODE(as_values(GetMessageClass(_POOL.FindMessageTypeByName(kind)).FromString(data)))


def as_values(message: Message) -> Any:
    """The message as dicts, lists, texts and numbers."""
    return _message_writer(message.DESCRIPTOR, "")(message)


# -- scalars and well-known types --------------------------------------------------------------------------------------

_FLOAT32 = struct.Struct("<f")


def _float32(value: float) -> float | str:
    """The shortest decimal that reads back as the same 32 bits."""
    if not math.isfinite(value):
        return _not_finite(value)
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        try:
            if _FLOAT32.unpack(_FLOAT32.pack(short))[0] == value:
                return short
        except OverflowError:  # rounded up beyond the largest float32
            continue
    return float(f"{value:.9g}")


def _double(value: float) -> float | str:
    return value if math.isfinite(value) else _not_finite(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _base64(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _same(value: Any) -> Any:
    return value


_BY_TYPE: dict[int, Convert] = {
    FieldDescriptor.CPPTYPE_FLOAT: _float32,
    FieldDescriptor.CPPTYPE_DOUBLE: _double,
    FieldDescriptor.CPPTYPE_INT64: str,
    FieldDescriptor.CPPTYPE_UINT64: str,
}


def _any_value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        return message.string_value
    if kind == "number_value":
        number = message.number_value
        return int(number) if number.is_integer() and abs(number) < 1e16 else _double(number)
    if kind == "bool_value":
        return message.bool_value
    if kind == "struct_value":
        return _struct(message.struct_value)
    if kind == "list_value":
        return _list(message.list_value)
    return None


def _struct(message: Any) -> dict[str, Any]:
    return {key: _any_value(value) for key, value in message.fields.items()}


def _list(message: Any) -> list[Any]:
    return [_any_value(value) for value in message.values]


def _json_string(message: Any) -> Any:
    return message.ToJsonString()


def _plain(message: Any) -> Any:
    return message.value


def _as_text(message: Any) -> str:
    return str(message.value)


_WELL_KNOWN: dict[str, Convert] = {
    "google.protobuf.Timestamp": _json_string,
    "google.protobuf.Duration": _json_string,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _any_value,
    "google.protobuf.ListValue": _list,
    "google.protobuf.BoolValue": _plain,
    "google.protobuf.Int32Value": _plain,
    "google.protobuf.UInt64Value": _as_text,
}


# -- messages ----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class MessagePlan:
    fields: dict[int, tuple[str, Convert]] = field(default_factory=dict)  # by number
    shown: list[tuple[str, Any]] = field(default_factory=list)  # rendered though empty: name, value

    def write(self, message: Any) -> dict[str, Any]:
        fields, result = self.fields, {}
        for descriptor, value in message.ListFields():
            name, convert = fields[descriptor.number]
            result[name] = convert(value)
        for name, empty in self.shown:
            if name not in result:
                result[name] = empty
        return result


# A message that stands in an Input is written in another way down to the bytes of its media.
_ECHOED = {("clarifai.api.Input", "data"), *(("clarifai.api.Data", media) for media in ("image", "video", "audio"))}
_MEDIA = {"clarifai.api.Image", "clarifai.api.Video", "clarifai.api.Audio"}
_PLANS: dict[tuple[str, str], MessagePlan] = {}


def _plan(descriptor: Descriptor, echo: str) -> MessagePlan:
    found = _PLANS.get((descriptor.full_name, echo))
    if found is None:
        found = MessagePlan()
        for each in descriptor.fields:
            found.fields[each.number] = (each.name, _field_writer(each, echo))
            if _shown_though_empty(each):
                found.shown.append((each.name, _empty(each, found.fields[each.number][1])))
        _PLANS[descriptor.full_name, echo] = found
    return found


def _shown_though_empty(descriptor: FieldDescriptor) -> bool:
    if not descriptor.GetOptions().Extensions[extensions_pb2.cl_show_if_empty] or descriptor.containing_oneof:
        return False
    return bool(descriptor.is_repeated or descriptor.message_type is None)


def _empty(descriptor: FieldDescriptor, convert: Convert) -> Any:
    if descriptor.is_repeated:
        is_map = descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry
        return {} if is_map else []
    return convert(descriptor.default_value)


def _field_writer(descriptor: FieldDescriptor, echo: str) -> Convert:
    message_type = descriptor.message_type
    if message_type is not None and message_type.GetOptions().map_entry:
        return _map_writer(message_type)
    one = _one_writer(descriptor, echo)
    if not descriptor.is_repeated:
        return one
    return list if one is _same else lambda values: [one(value) for value in values]


def _one_writer(descriptor: FieldDescriptor, echo: str) -> Convert:
    if descriptor.message_type is not None:
        return _message_writer(descriptor.message_type, _echo_below(descriptor, echo))
    if descriptor.type == FieldDescriptor.TYPE_BYTES:
        echoed = echo and descriptor.containing_type.full_name in _MEDIA
        return (lambda _: ECHO) if echoed else _base64
    return _BY_TYPE.get(descriptor.cpp_type, _same)


def _echo_below(descriptor: FieldDescriptor, echo: str) -> str:
    here = descriptor.containing_type.full_name
    if (here, descriptor.name) not in _ECHOED:
        return ""
    return "echo" if here == "clarifai.api.Input" or echo else ""


def _message_writer(descriptor: Descriptor, echo: str) -> Convert:
    known = _WELL_KNOWN.get(descriptor.full_name)
    return known or (lambda message: _plan(descriptor, echo).write(message))


def _map_writer(entry: Descriptor) -> Convert:
    key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
    key_of: Convert = str if key_field.cpp_type != FieldDescriptor.CPPTYPE_BOOL else lambda key: str(key).lower()
    value_of = _one_writer(value_field, "")
    return lambda values: {key_of(key): value_of(value) for key, value in values.items()}
