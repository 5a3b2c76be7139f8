"""Vectors by the SHA-256 of what they were made of, in one file per embedder that several processes may append to.
Next: `store/vector_files`, which forgets what was deleted and knows their form too.

A record is the key, a CRC-32 of the vector, and the vector, float32 (D,). What is damaged or cut off is not found.
"""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
KEY_BYTES = 32


class VectorFile:
    """What stood in the file when it was opened, and what this process has added since."""

    def __init__(self, file: Path, width: int) -> None:
        self.file = file
        self.width = width
        self._record = np.dtype([("key", f"V{KEY_BYTES}"), ("crc", "<u4"), ("vector", "<f4", (width,))])
        self._added: dict[bytes, Array] = {}
        self._rows: Any = np.empty(0, self._record)
        if file.exists() and (whole := file.stat().st_size // self._record.itemsize):
            self._rows = np.memmap(file, self._record, mode="r", shape=(whole,))
        self._places = {bytes(key): place for place, key in enumerate(self._rows["key"])}

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def get(self, key: bytes) -> Array | None:
        """float32 (D,), None where there is none."""
        if key in self._added:
            return self._added[key]
        place = self._places.get(key)
        if place is None:
            return None
        row = self._rows[place]
        vector: Array = np.array(row["vector"])
        return vector if zlib.crc32(vector.tobytes()) == int(row["crc"]) else None

    def add(self, keys: Sequence[bytes], vectors: Array) -> None:
        """Appends those whose keys are new, in one write; `vectors` is float32 (len(keys), D)."""
        new = {key: vector for key, vector in zip(keys, vectors, strict=True) if key not in self}
        if not new:
            return
        rows = np.empty(len(new), self._record)
        rows["key"] = [np.void(key) for key in new]
        rows["vector"] = list(new.values())
        rows["crc"] = [zlib.crc32(row.tobytes()) for row in rows["vector"]]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab") as file:
            cut_off = -os.fstat(file.fileno()).st_size % self._record.itemsize  # a full disk may have cut a record
            file.write(bytes(cut_off) + rows.tobytes())
        self._added |= new
