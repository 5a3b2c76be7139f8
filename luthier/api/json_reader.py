"""Python values of a JSON document -> message, by plans worked out once per message type. Next: `json_writer`.

Rules: the proto3 JSON mapping as clarifai-grpc uses it (both spellings of a name, enums by name or number, 64-bit
integers as text or number, unknown keys ignored), and Clarifai's own: Concept.value is 1.0 where it is missing
(cl_default_float).
"""

from dataclasses import dataclass, field
from typing import Any

from clarifai_grpc.grpc.api.utils import extensions_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from luthier.api.json_values import WELL_KNOWN, Convert, MisfitError, ReadInto, converter


def read(value: Any, message: Message) -> None:
    """Fill `message`; raises BadRequestFormat, or InvalidBytes where base64 is wrong, naming the field."""
    try:
        plan(message.DESCRIPTOR).read(value, message)
    except MisfitError as misfit:
        raise misfit.error() from None


@dataclass(eq=False)
class FieldPlan:
    """How one field is read. `read(value, message)` sets it."""

    name: str
    read: ReadInto
    oneof: str  # name of the oneof that it belongs to, or ""
    takes_null: bool  # google.protobuf.Value: null is a value there


@dataclass(eq=False)
class MessagePlan:
    fields: dict[str, FieldPlan] = field(default_factory=dict)  # by both spellings
    defaults: list[tuple[str, float]] = field(default_factory=list)  # set where the document has no value

    def read(self, value: Any, message: Any) -> None:
        if type(value) is not dict:
            raise MisfitError(value, "give an object")
        seen: set[str] = set()
        for key, inner in value.items():
            each = self.fields.get(key)
            if each is None:
                continue
            if each.name in seen or (each.oneof and each.oneof in seen):
                raise MisfitError(key, f"{each.oneof or each.name} is given twice; send one of its forms")
            if inner is None and not each.takes_null:
                continue
            seen.add(each.name)
            if each.oneof:
                seen.add(each.oneof)
            try:
                each.read(inner, message)
            except MisfitError as misfit:
                misfit.path.append(each.name)
                raise
        for name, default in self.defaults:
            if name not in seen:
                setattr(message, name, default)


_PLANS: dict[str, MessagePlan] = {}


def plan(descriptor: Descriptor) -> MessagePlan:
    """The plan of a message type, worked out at its first use: types may hold themselves, and most are never used."""
    found = _PLANS.get(descriptor.full_name)
    if found is None:
        found = MessagePlan()
        for each in descriptor.fields:
            made = _field_plan(each)
            found.fields[each.name] = found.fields[each.json_name] = made
            default = each.GetOptions().Extensions[extensions_pb2.cl_default_float]
            if default:
                found.defaults.append((each.name, default))
        _PLANS[descriptor.full_name] = found
    return found


def _field_plan(descriptor: FieldDescriptor) -> FieldPlan:
    oneof = descriptor.containing_oneof.name if descriptor.containing_oneof else ""
    takes_null = descriptor.message_type is not None and descriptor.message_type.full_name == "google.protobuf.Value"
    return FieldPlan(descriptor.name, _field_reader(descriptor), oneof, takes_null and not descriptor.is_repeated)


def _field_reader(descriptor: FieldDescriptor) -> ReadInto:
    message_type = descriptor.message_type
    if message_type is not None and message_type.GetOptions().map_entry:
        return _map_reader(descriptor.name, message_type)
    if message_type is not None:
        inner = _message_reader(message_type)
        return _repeated_messages(descriptor.name, inner) if descriptor.is_repeated else _one(descriptor.name, inner)
    convert = converter(descriptor)
    return _repeated_scalars(descriptor.name, convert) if descriptor.is_repeated else _scalar(descriptor.name, convert)


def _message_reader(descriptor: Descriptor) -> ReadInto:
    known = WELL_KNOWN.get(descriptor.full_name)
    return known or (lambda value, message: plan(descriptor).read(value, message))


def _scalar(name: str, convert: Convert) -> ReadInto:
    def read_into(value: Any, message: Any) -> None:
        setattr(message, name, convert(value))

    return read_into


def _one(name: str, inner: ReadInto) -> ReadInto:
    def read_into(value: Any, message: Any) -> None:
        part = getattr(message, name)
        part.SetInParent()
        inner(value, part)

    return read_into


def _listed(values: Any) -> list[Any]:
    if type(values) is not list:
        raise MisfitError(values, "give a list")
    return values


def _repeated_scalars(name: str, convert: Convert) -> ReadInto:
    def read_into(values: Any, message: Any) -> None:
        items: list[Any] = []
        try:
            items.extend(convert(value) for value in _listed(values))
        except MisfitError as misfit:
            if type(values) is list:
                misfit.path.append(f"[{len(items)}]")
            raise
        getattr(message, name).extend(items)

    return read_into


def _repeated_messages(name: str, inner: ReadInto) -> ReadInto:
    def read_into(values: Any, message: Any) -> None:
        container = getattr(message, name)
        for number, value in enumerate(_listed(values)):
            try:
                inner(value, container.add())
            except MisfitError as misfit:
                misfit.path.append(f"[{number}]")
                raise

    return read_into


def _map_reader(name: str, entry: Descriptor) -> ReadInto:
    key_of = converter(entry.fields_by_name["key"])
    value_field = entry.fields_by_name["value"]
    inner = _message_reader(value_field.message_type) if value_field.message_type else None
    convert = None if inner else converter(value_field)

    def read_into(values: Any, message: Any) -> None:
        if type(values) is not dict:
            raise MisfitError(values, "give an object")
        container = getattr(message, name)
        for key, value in values.items():
            try:
                if inner:
                    inner(value, container[key_of(key)])
                else:
                    container[key_of(key)] = convert(value)  # type: ignore[misc]
            except MisfitError as misfit:
                misfit.path.append(key)
                raise

    return read_into
