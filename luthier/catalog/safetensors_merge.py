"""Several safetensors files as one: large models come in parts, and one file is simpler for everything after.

`model.safetensors.index.json` says which part has which tensor. Next: `safetensors_header` for the format.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from luthier.catalog.safetensors_header import Tensor, read_header
from luthier.errors import CorruptFile, shown

INDEX_FILE = "model.safetensors.index.json"
PART_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors")
MOST_PARTS = 500
BLOCK = 4 * 1024 * 1024  # bytes


def parts_of(index: Path) -> list[str]:
    """Names of the files that an index speaks of, in order; raises CorruptFile where it is no index."""
    try:
        named = set(json.loads(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise CorruptFile(f"{index} is no index of safetensors files") from None
    bad = [name for name in named if not (isinstance(name, str) and PART_NAME.fullmatch(name))]
    if bad or not 1 <= len(named) <= MOST_PARTS:
        raise CorruptFile(
            f"{index} names {len(named)} files, such as {shown(next(iter(bad or named), ''))}: no such parts"
        )
    return sorted(named)


def merged(parts: Sequence[Path]) -> Iterator[bytes]:
    """The bytes of one file with the tensors of all parts; raises CorruptFile for a bad part or a tensor in two."""
    tensors = [(part, tensor) for part in parts for tensor in read_header(part)]
    rows: dict[str, object] = {}
    position = 0
    for part, tensor in tensors:
        if tensor.name in rows:
            raise CorruptFile(f"{part} has the tensor {shown(tensor.name)}, which another part has too")
        end = position + tensor.end - tensor.begin
        rows[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    header = json.dumps({"__metadata__": {"format": "pt"}, **rows}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    yield len(header).to_bytes(8, "little") + header
    for part in parts:
        yield from _data(part, [tensor for owner, tensor in tensors if owner is part])


def _data(part: Path, tensors: Sequence[Tensor]) -> Iterator[bytes]:
    """The bytes behind the header, which hold the tensors in order and without gaps."""
    left = max((tensor.end for tensor in tensors), default=0)
    with part.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        while left > 0:
            block = file.read(min(BLOCK, left))
            if not block:
                raise CorruptFile(f"{part} was cut off while it was read")
            left -= len(block)
            yield block
