"""Example: one row of a frozen dataset version, as a line of manifest.jsonl. Next: `run`."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled input.

    `blob` is the SHA-256 of its bytes in hexadecimal; `path` is where they lie when not in the blob folder
    (a local run). `labels` gives a concept's id 1 (positive) or 0 (negative); a concept not named is unlabelled.
    `invalid` says why the input cannot be used, empty for a good one: it is counted, listed and never trained on.
    """

    id: str
    blob: str
    split: str
    labels: dict[str, int] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    path: str = ""
    invalid: str = ""


_FIELDS = tuple(f.name for f in fields(Example))


def write_manifest(path: Path, examples: Iterable[Example]) -> int:
    """Writes one line per example and returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for example in examples:
            file.write(example_to_line(example) + "\n")
            count += 1
    return count


def read_manifest(path: Path) -> Iterator[Example]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield example_from_line(line)


def example_to_line(example: Example) -> str:
    row = {name: value for name in _FIELDS if (value := getattr(example, name)) not in ("", 0, {})}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def example_from_line(line: str) -> Example:
    return Example(**json.loads(line))
