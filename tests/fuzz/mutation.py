"""Requests made wrong: fields set to what nobody expects, and the bytes of messages damaged. Next: `messages`."""

import contextlib
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

LONGEST = 300_000  # bytes of one message

TEXTS = [
    "", " ", ".", "..", "../../etc/passwd", "a\0b", "a\nb", "\u202egnp", "\u200b", "\ufeff", "e\u0301", "\U0001f600",
    "x' OR 1=1--", "%s%n", "{0.__class__}", "*", "%", "_", "me", "ann", "theirs", "mine", "i1", "m", "v", "d", "dv",
    "cat", "image", "http://127.0.0.1/", "file:///etc/passwd", "1e400", "NaN", "null", "-1", "x" * 129, "y" * 20_000,
]  # fmt: skip
WHOLE = [0, 1, 2, 127, 128, 129, 1000, 1001, 2**31 - 1, 2**31, 2**32 - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -1]
BROKEN = [0.0, -0.0, 0.5, 1.0, -1.0, 2.0, 1e-45, 1e38, 1e300, math.nan, math.inf, -math.inf]
BYTES = [b"", b"\0", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a" + b"\xff" * 20, b"x" * 3000]
SIZES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class Mutator:
    """All of it from one seeded generator, so that a run can be had again."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def mutated(self, message: Any) -> bytes:
        """The bytes of a request like this one. `message` itself is changed."""
        kind = self._draw.random()
        if kind < 0.85:
            for _ in range(self._draw.choice([1, 1, 1, 2, 4])):
                self._change(message, 0)
        data = message.SerializeToString()
        if kind > 0.75:
            data = self._damaged(bytearray(data))
        return bytes(data[:LONGEST])

    # -- fields ----------------------------------------------------------------------------------------------------

    def _change(self, message: Any, depth: int) -> None:
        """One field, here or further in; fields that are set are looked at more often than others."""
        fields: Sequence[FieldDescriptor] = message.DESCRIPTOR.fields
        if not fields:
            return
        present = [field for field, _ in message.ListFields()]
        if depth == 0 and len(fields) > 1 and self._draw.random() < 0.9:  # else most calls would end at a wrong app
            present = [field for field in present if field.name != "user_app_id"]
            fields = [field for field in fields if field.name != "user_app_id"]
        field = self._draw.choice(present if present and self._draw.random() < 0.7 else fields)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._change_map(getattr(message, field.name))
        elif field.is_repeated:
            self._change_list(getattr(message, field.name), field, depth)
        elif field.message_type is None:
            self._set(message, field)
        elif self._draw.random() < 0.1:
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
            if depth < 8:
                self._change(getattr(message, field.name), depth + 1)

    def _set(self, message: Any, field: FieldDescriptor) -> None:
        if self._draw.random() < 0.15:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, self._scalar(field))

    def _change_list(self, items: Any, field: FieldDescriptor, depth: int) -> None:
        if items and self._draw.random() < 0.2:
            self._resize(items)
        elif field.message_type is None:
            items.extend(self._scalar(field) for _ in range(self._draw.choice([1, 1, 2, 130])))
        else:
            item = self._draw.choice(items) if items and self._draw.random() < 0.8 else items.add()
            if depth < 8:
                self._change(item, depth + 1)

    def _resize(self, items: Any) -> None:
        """To none, to two of the first, or beyond what a batch may hold."""
        first = items[0]
        del items[1 if self._draw.random() < 0.8 else 0 :]
        more = self._draw.choice([0, 1, 128])
        with contextlib.suppress(DecodeError):  # of a message that was made too deep to be copied
            items.extend([first] * more)

    def _change_map(self, entries: Any) -> None:
        key = self._draw.choice(TEXTS)
        value = entries[key]  # a Struct's: made by asking for it
        if hasattr(value, "struct_value"):
            for _ in range(self._draw.choice([0, 1, 40])):
                value = value.struct_value.fields["deeper"]
            value.number_value = self._draw.choice(BROKEN)

    def _scalar(self, field: FieldDescriptor) -> Any:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._draw.choice([*BYTES, self._draw.randbytes(self._draw.randrange(200))])
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return self._draw.choice(TEXTS)
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return self._draw.random() < 0.5
        if field.enum_type is not None:
            return self._draw.choice([*(value.number for value in field.enum_type.values), -1, 99_999_999])
        if field.cpp_type in SIZES:
            low, high = SIZES[field.cpp_type]
            return min(max(self._draw.choice(WHOLE), low), high)
        return self._draw.choice(BROKEN)

    # -- bytes -----------------------------------------------------------------------------------------------------

    def _damaged(self, data: bytearray) -> bytearray:
        ways: list[Callable[[bytearray], None]] = [self._flip, self._insert, self._drop, self._repeat]
        for _ in range(self._draw.randrange(1, 4)):
            self._draw.choice(ways)(data)
        return data

    def _at(self, data: bytearray) -> int:
        return self._draw.randrange(len(data) + 1)

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._draw.randrange(len(data))] = self._draw.randrange(256)

    def _insert(self, data: bytearray) -> None:
        at = self._at(data)
        data[at:at] = self._draw.randbytes(self._draw.randrange(1, 12))

    def _drop(self, data: bytearray) -> None:
        at = self._at(data)
        del data[at : at + self._draw.randrange(1, 20)]

    def _repeat(self, data: bytearray) -> None:
        at = self._at(data)
        data[at:at] = data[at : at + 60] * self._draw.choice([1, 2, 50])
