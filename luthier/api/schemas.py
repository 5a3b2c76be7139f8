"""Messages and enums of the wire as JSON schemas, by their descriptors. Next: `openapi`, which refers to them."""

from typing import Any

from clarifai_grpc.grpc.api.utils import extensions_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

Json = dict[str, Any]

_REFERENCE = "#/components/schemas/"
_WHOLE = {"type": ["integer", "string"], "format": "int64"}  # answers give texts, as proto3's JSON has it
_NUMBERS: dict[int, Json] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    FieldDescriptor.CPPTYPE_INT64: _WHOLE,
    FieldDescriptor.CPPTYPE_UINT64: _WHOLE,
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
}
_KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "description": 'Seconds, such as "308s"'},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.UInt64Value": _WHOLE,
    "google.protobuf.Int64Value": _WHOLE,
    "google.protobuf.UInt32Value": {"type": "integer"},
    "google.protobuf.Int32Value": {"type": "integer"},
    "google.protobuf.FloatValue": {"type": "number"},
    "google.protobuf.DoubleValue": {"type": "number"},
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.BytesValue": {"type": "string", "contentEncoding": "base64"},
}


class Schemas:
    """Collects the schema of every message and enum that is referred to."""

    def __init__(self) -> None:
        self.found: dict[str, Json] = {}

    def reference(self, descriptor: Descriptor | EnumDescriptor) -> Json:
        name = descriptor.full_name
        if name in _KNOWN:
            return _KNOWN[name]
        if name not in self.found:
            self.found[name] = {}  # taken, so that a message may hold itself
            self.found[name] = (
                _enum(descriptor) if isinstance(descriptor, EnumDescriptor) else self._message(descriptor)
            )
        return {"$ref": _REFERENCE + name}

    def of_field(self, field: FieldDescriptor) -> Json:
        """Of the field's value in JSON; repeated fields are arrays, maps objects."""
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self.of_field(kind.fields_by_name["value"])}
        one = self._single(field)
        return {"type": "array", "items": one} if field.is_repeated else one

    def _single(self, field: FieldDescriptor) -> Json:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            return self.reference(field.enum_type)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return {"type": "string"}
        default = field.GetOptions().Extensions[extensions_pb2.cl_default_float]
        return {**_NUMBERS[field.cpp_type], **({"default": default} if default else {})}

    def _message(self, descriptor: Descriptor) -> Json:
        return {"type": "object", "properties": {each.name: self.of_field(each) for each in descriptor.fields}}


def _enum(descriptor: EnumDescriptor) -> Json:
    """Answers give the number; requests may give number or name."""
    words = ", ".join(f"{value.number} {value.name}" for value in descriptor.values)
    numbers = sorted({value.number for value in descriptor.values})
    return {
        "type": ["integer", "string"],
        "enum": [*numbers, *(value.name for value in descriptor.values)],
        "description": words,
    }
