"""Example: one row of a frozen dataset version, as a line of manifest.jsonl. Next: `run`."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

SPLITS = ("train", "val", "test")
REGION_KINDS = ("box", "polygon", "mask", "point", "span")
CHAT_ROLES = ("system", "user", "assistant", "tool")
COMPLETION_ROLES = ("prompt", "completion")  # plain text and what follows it, without a chat's form
ROLES = (*CHAT_ROLES, *COMPLETION_ROLES)


@dataclass(frozen=True, slots=True)
class Region:
    """A labelled part of an input. `concept` is a concept's id.

    `points` by `kind`: box left, top, right, bottom; polygon x, y, x, y, …; point x, y; all as fractions 0..1 of the
    upright picture's width and height. span: start, end in characters of the text, end excluded. mask: none, its
    pixels are `runs`: width, height, then lengths of runs that alternate between outside and inside, outside first,
    down the columns from the left (COCO's uncompressed order). Regions of one `group` above 0 are parts of one object.
    """

    kind: str
    concept: str
    points: tuple[float, ...] = ()
    runs: tuple[int, ...] = ()
    group: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is one of ROLES."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled input.

    `blob` is the SHA-256 of its bytes in hexadecimal; `path` is where they lie when not in the blob folder
    (a local run). `labels` gives a concept's id 1 (positive) or 0 (negative); a concept not named is unlabelled.
    `invalid` says why the input cannot be used, empty for a good one: it is counted, listed and never trained on.
    A text stands in `text` or, a conversation, in `messages`; both are empty where `path` or `blob` holds the bytes.
    """

    id: str
    blob: str
    split: str
    labels: dict[str, int] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    path: str = ""
    invalid: str = ""
    text: str = ""
    messages: tuple[Message, ...] = ()
    regions: tuple[Region, ...] = ()


_PLAIN_FIELDS = ("id", "blob", "split", "labels", "width", "height", "path", "invalid")
_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # json.dumps makes one for each call
_REGION_FIELDS = tuple(f.name for f in fields(Region))


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
    row = {name: value for name in _PLAIN_FIELDS if (value := getattr(example, name)) not in ("", 0, {})}
    if example.text:
        row["text"] = example.text
    if example.regions:
        row["regions"] = [region_to_row(region) for region in example.regions]
    if example.messages:
        row["messages"] = [{"role": message.role, "content": message.content} for message in example.messages]
    return _encoded(row)


def example_from_line(line: str) -> Example:
    row = json.loads(line)
    row.setdefault("blob", "")  # an input that could not be read has no bytes to name
    if "regions" in row:
        row["regions"] = tuple(region_from_row(region) for region in row["regions"])
    if "messages" in row:
        row["messages"] = tuple(Message(**message) for message in row["messages"])
    return Example(**row)


def text_bytes(example: Example) -> bytes:
    """What a text example's blob is the hash of: its text, or its messages as JSON."""
    if not example.messages:
        return example.text.encode("utf-8", "surrogatepass")
    turns = [{"role": message.role, "content": message.content} for message in example.messages]
    return json.dumps({"messages": turns}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def region_from_row(row: dict[str, Any]) -> Region:
    """A region of a line, its lists as tuples."""
    return Region(
        row["kind"], row["concept"], tuple(row.get("points", ())), tuple(row.get("runs", ())), row.get("group", 0)
    )


def region_to_row(region: Region) -> dict[str, Any]:
    return {name: item for name in _REGION_FIELDS if (item := getattr(region, name)) not in ("", 0, ())}
