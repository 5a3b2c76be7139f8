"""Lines of a manifest: yesterday's lines read the same today, and what is written is read again."""

from pathlib import Path

import pytest

from luthier.runs.manifest import (
    Example,
    Message,
    Region,
    example_from_line,
    example_to_line,
    read_manifest,
    write_manifest,
)

PLAIN = '{"id":"cats/a.png","blob":"ab","split":"train","labels":{"cats":1},"width":4,"height":3,"path":"/d/a.png"}'

EXAMPLES = [
    Example("boxes", "b0", "val", regions=(Region("box", "cat", (0.1, 0.25, 0.5, 1.0)),), width=10, height=20),
    Example("parts", "b1", "train", regions=(Region("polygon", "dog", (0.0, 0.0, 1.0, 0.0, 1.0, 1.0), group=1),)),
    Example("mask", "b2", "test", regions=(Region("mask", "sky", runs=(2, 2, 1, 3)),)),
    Example("text", "b3", "train", {"spam": 1}, text="Köln\n\u2028x", regions=(Region("span", "LOC", (0, 4)),)),
    Example("chat", "b4", "train", messages=(Message("user", "Hi"), Message("assistant", ""))),
    Example("gone.png", "", "train", {"x": 1}, invalid="there is no file"),
]


def test_a_line_of_a_plain_picture_is_as_it_was() -> None:
    example = example_from_line(PLAIN)
    assert example == Example("cats/a.png", "ab", "train", {"cats": 1}, 4, 3, "/d/a.png")
    assert example_to_line(example) == PLAIN


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_regions_texts_and_messages_are_read_again(example: Example) -> None:
    assert example_from_line(example_to_line(example)) == example


def test_a_manifest_is_read_again(tmp_path: Path) -> None:
    assert write_manifest(tmp_path / "manifest.jsonl", EXAMPLES) == len(EXAMPLES)
    assert list(read_manifest(tmp_path / "manifest.jsonl")) == EXAMPLES
