"""Reads a safetensors file's header with the standard library, and checks that the file is whole. Next: `weights`.

The format: an unsigned 64-bit little-endian header length, the header as JSON, then the tensors' bytes without gaps
(https://github.com/huggingface/safetensors, "Format"). Nothing in it can run.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.errors import CorruptFile, shown

LARGEST_HEADER = 100_000_000  # bytes, the format's own limit
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int  # bytes from the end of the header
    end: int


def read_header(path: Path) -> list[Tensor]:
    """The tensors of the file in the order of their bytes.

    Raises CorruptFile where the header is no safetensors header, where the tensors leave gaps or overlap, and where
    the file is shorter or longer than they are.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise CorruptFile(f"{path} is no safetensors file: it does not begin with a header")
        tensors = _tensors(path, file.read(length))
    _check_layout(path, tensors, size - 8 - length)
    return tensors


def _tensors(path: Path, header: bytes) -> list[Tensor]:
    try:
        rows: dict[str, Any] = json.loads(header)
        rows.pop("__metadata__", None)
        tensors = [_tensor(name, row) for name, row in rows.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{path} is no safetensors file: its header cannot be read ({shown(str(error))})") from None
    return sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end))


def _tensor(name: str, row: dict[str, Any]) -> Tensor:
    begin, end = row["data_offsets"]
    shape = tuple(row["shape"])
    if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise ValueError(f"tensor {name} has a size that is not a whole number")
    if BITS[row["dtype"]] * math.prod(shape) != 8 * (end - begin):
        raise ValueError(f"tensor {name} has {end - begin} bytes for shape {list(shape)} of {row['dtype']}")
    return Tensor(name, row["dtype"], shape, begin, end)


def _check_layout(path: Path, tensors: list[Tensor], available: int) -> None:
    position = 0
    for tensor in tensors:
        if tensor.begin != position:
            raise CorruptFile(
                f"{path} is damaged: tensor {shown(tensor.name)} begins at {tensor.begin}, not {position}"
            )
        position = tensor.end
    if position > available:
        raise CorruptFile(f"{path} is cut off: its tensors need {position} bytes and {available} are there")
    if position < available:
        raise CorruptFile(f"{path} is damaged: {available - position} bytes follow its last tensor")
