"""A text generator that is talked to: one line that cannot be answered does not end the process."""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from luthier.engine import converse
from luthier.errors import InvalidBytes
from luthier.runs.run import RunFolder


class Talker:
    chats = True

    def __init__(self, run: RunFolder, checkpoint: Path) -> None: ...

    def answer(self, text: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        errors: dict[str, Exception] = {
            "far": IndexError("index out of range in self"),
            "big": RuntimeError("out of memory"),
            "bad": InvalidBytes("the text is empty"),
        }
        yield {"piece": "So"}
        if text in errors:
            raise errors[text]
        yield {"tokens": 1, "finish": "end", "seconds": 0.0}


def test_errors_are_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converse, "Conversation", Talker)
    lines = io.StringIO("".join(json.dumps({"text": text}) + "\n" for text in ("far", "big", "bad", "good")))
    out = io.StringIO()
    assert converse.serve(RunFolder(tmp_path), tmp_path, lines, out) == 0
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [one["error"] for one in said if "error" in one] == [
        "IndexError: index out of range in self",
        "RuntimeError: out of memory",
        "Input bytes cannot be read: the text is empty",
    ]
    assert said[-1]["finish"] == "end"
