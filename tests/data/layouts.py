"""Examples of every kind, and the round through a writer and its reader."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from luthier.data import readers
from luthier.data.readers.found import ReadResult
from luthier.runs.manifest import Example
from tests.data.pictures import saved

_made = iter(range(1 << 30))
SPLITS = ("train", "train", "val", "test")


def picture(path: Path, width: int = 40, height: int = 30) -> Path:
    """A PNG unlike every other."""
    number = next(_made)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(saved(Image.new("RGB", (width, height), (number >> 8, number & 255, 90)), "PNG"))
    return path


def reasons(result: ReadResult) -> dict[str, str]:
    return {rejected.path: rejected.reason for rejected in result.rejected}


def without_place(examples: Sequence[Example]) -> list[Example]:
    """Examples without the path that their bytes lie under, which is another after a copy."""
    return sorted((replace(example, path="") for example in examples), key=lambda example: example.id)


def again(write: Callable[..., int], examples: Sequence[Example], folder: Path) -> ReadResult:
    """What is read from what was written; each writer must say how much that was."""
    assert write(folder, examples) == len(examples)
    result = readers.read(folder)
    assert result.rejected == []
    return result
