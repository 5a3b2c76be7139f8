"""Messages over a pipe or socket between a predictor and its model process: a JSON header and raw byte parts.

A frame is: header length, number of parts, each part's length (unsigned 32-bit, big-endian), then header and parts.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

_NUMBER = struct.Struct(">I")
LARGEST_PART = 512 * 1024 * 1024


def write_frame(stream: BinaryIO, header: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    head = json.dumps(header).encode()
    lengths = [len(head), len(parts), *(len(part) for part in parts)]
    stream.write(b"".join([*(_NUMBER.pack(length) for length in lengths), head, *parts]))
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next frame, or None where the other side has closed; raises EOFError if it closed in mid-frame."""
    first = stream.read(_NUMBER.size)
    if not first:
        return None
    head_length = _NUMBER.unpack(first)[0]
    part_lengths = [_number(stream) for _ in range(_number(stream))]
    head = json.loads(_exactly(stream, head_length))
    return head, [_exactly(stream, length) for length in part_lengths]


def _number(stream: BinaryIO) -> int:
    number: int = _NUMBER.unpack(_exactly(stream, _NUMBER.size))[0]
    return number


def _exactly(stream: BinaryIO, length: int) -> bytes:
    if length > LARGEST_PART:
        raise ValueError(f"frame part of {length} bytes; the most is {LARGEST_PART}")
    data = stream.read(length)
    if len(data) != length:
        raise EOFError("the other side closed in the middle of a frame")
    return data
