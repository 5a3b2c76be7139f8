"""JSON lines: inputs.jsonl, which holds all that an example holds; pictures in images/ beside it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from luthier.data.writers.pictures import Names, put, require_empty, source_of, usable
from luthier.runs.manifest import COMPLETION_ROLES, Example, region_to_row

FILE = "inputs.jsonl"


def write(folder: Path, examples: Iterable[Example], blob_folder: Path | None = None) -> int:
    """Writes FILE and the pictures into the empty `folder`; returns the number of lines."""
    require_empty(folder)
    names, count = Names(), 0
    with (folder / FILE).open("w", encoding="utf-8", newline="\n") as file:
        for example in usable(examples):
            row = _row(example)
            if not example.text and not example.messages:
                source = source_of(example, blob_folder)
                row["image"] = names.of(example, source, "images")
                put(source, folder, row["image"])
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _row(example: Example) -> dict[str, Any]:
    row: dict[str, Any] = {"id": example.id, **_content(example)}
    if example.labels:
        row["labels"] = example.labels
    if example.regions:
        row["regions"] = [region_to_row(region) for region in example.regions]
    return {**row, "split": example.split}


def _content(example: Example) -> dict[str, Any]:
    if tuple(message.role for message in example.messages) == COMPLETION_ROLES:
        return {message.role: message.content for message in example.messages}
    if example.messages:
        return {"messages": [{"role": turn.role, "content": turn.content} for turn in example.messages]}
    return {"text": example.text} if example.text else {}
