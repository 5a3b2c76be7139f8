"""What clients may set on a resource, and the wire's three ways of patching it. Next: `apps` for how it is used."""

import math
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value

from luthier.errors import InvalidRequest, shown

ACTIONS = ("merge", "overwrite", "remove")
MAX_METADATA_BYTES = 64 * 1024
MAX_METADATA_DEPTH = 8
MAX_MESSAGE_BYTES = 256 * 1024


def action_of(action: str) -> str:
    """The request's `action`; empty means merge. Raises InvalidRequest for an unknown one."""
    if action and action not in ACTIONS:
        raise InvalidRequest(f"action is {shown(action)!r}; give one of {', '.join(ACTIONS)}")
    return action or "merge"


def kept(sent: Any, fields: Sequence[str]) -> Any:
    """A new message with those of `fields` alone that `sent` holds: what a client may set. Its metadata is checked."""
    message = type(sent)()
    for name in fields:
        _copy(message, sent, name)
    check(message)
    return message


def check(message: Any, most_bytes: int = MAX_MESSAGE_BYTES) -> None:
    """Raises InvalidRequest for metadata or a whole message over the limits."""
    if "metadata" in message.DESCRIPTOR.fields_by_name:
        check_metadata(message.metadata)
    if message.ByteSize() > most_bytes:
        name = message.DESCRIPTOR.name
        raise InvalidRequest(f"{name} takes {message.ByteSize()} bytes; at most {most_bytes} are kept")


def check_metadata(metadata: Struct, field: str = "metadata") -> None:
    """InvalidRequest where a Struct is over 64 KiB, nested more than 8 deep, or has a number that is not finite."""
    if metadata.ByteSize() > MAX_METADATA_BYTES:
        raise InvalidRequest(f"{field} takes {metadata.ByteSize()} bytes; at most {MAX_METADATA_BYTES} are kept")
    for key, value in metadata.fields.items():
        _check_value(value, f"{field}.{key}", 1)


def _check_value(value: Value, path: str, depth: int) -> None:
    if depth > MAX_METADATA_DEPTH:
        raise InvalidRequest(f"{shown(path)} is nested too deeply (max {MAX_METADATA_DEPTH})")
    kind = value.WhichOneof("kind")
    if kind == "number_value" and not math.isfinite(value.number_value):
        raise InvalidRequest(f"{shown(path)} is {value.number_value}; give a finite number")
    if kind == "struct_value":
        for key, inner in value.struct_value.fields.items():
            _check_value(inner, f"{path}.{key}", depth + 1)
    if kind == "list_value":
        for number, inner in enumerate(value.list_value.values):
            _check_value(inner, f"{path}[{number}]", depth + 1)


def patch(stored: Any, change: Any, action: str, fields: Sequence[str], most_bytes: int = MAX_MESSAGE_BYTES) -> None:
    """Apply `change` to `stored`, in place, as far as `fields` go.

    merge: what is set replaces, maps (metadata) are merged key by key. overwrite: what is set replaces, maps too.
    remove: what is set is cleared; of a map, the keys that are named.
    """
    for name in fields:
        if not _is_set(change, name):
            continue
        if isinstance(getattr(change, name), Struct):
            _patch_struct(getattr(stored, name), getattr(change, name), action)
        else:
            stored.ClearField(name)
            if action != "remove":
                _copy(stored, change, name)
    check(stored, most_bytes)


def _patch_struct(stored: Struct, change: Struct, action: str) -> None:
    if action == "overwrite":
        stored.Clear()
    for key, value in change.fields.items():
        inner = value.struct_value if value.WhichOneof("kind") == "struct_value" else None
        if action == "remove":
            if inner is not None and inner.fields and key in stored.fields:
                _patch_struct(stored.fields[key].struct_value, inner, action)
            else:
                stored.fields.pop(key, None)
        elif action == "merge" and inner is not None and stored.fields[key].WhichOneof("kind") == "struct_value":
            _patch_struct(stored.fields[key].struct_value, inner, action)
        else:
            stored.fields[key].CopyFrom(value)


def _is_set(message: Message, name: str) -> bool:
    return any(descriptor.name == name for descriptor, _ in message.ListFields())


def _copy(target: Any, source: Any, name: str) -> None:
    descriptor = source.DESCRIPTOR.fields_by_name[name]
    value = getattr(source, name)
    if descriptor.is_repeated:
        getattr(target, name).MergeFrom(value)
    elif descriptor.message_type is None:
        setattr(target, name, value)
    elif source.HasField(name):
        getattr(target, name).CopyFrom(value)
