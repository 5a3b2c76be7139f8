"""JSON lines: labelled rows, the four forms of texts to learn from, and that what is written is read again."""

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.data import readers
from luthier.data.writers import jsonl as jsonl_writer
from luthier.errors import InvalidRequest
from luthier.runs.manifest import Example, Message, Region
from tests.data.layouts import again, picture, reasons, without_place


def lines(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        readers.read(path, **options)
    return caught.value.details


def test_labelled_rows(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    path = lines(
        tmp_path,
        {"text": "hello", "label": "greeting", "split": "test"},
        {"text": "spam", "labels": {"spam": 1, "greeting": 0}},
        {"image": "a.png", "labels": ["x", "y"], "id": "one"},
        {"text": "digit", "label": 7, "source": "not read"},
    )
    first, second, third, fourth = readers.read(path).examples
    assert (first.id, first.text, first.labels, first.split) == ("row-1", "hello", {"greeting": 1}, "test")
    assert second.labels == {"spam": 1, "greeting": 0}
    assert (third.id, third.labels, third.width, third.height) == ("one", {"x": 1, "y": 1}, 40, 30)
    assert fourth.labels == {"7": 1}


FORMS = [
    ({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}, "user assistant"),
    ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}, "user assistant"),
    ({"instruction": "Greet", "input": "Anna", "output": "Hello Anna"}, "user assistant"),
    ({"instruction": "Greet", "input": "", "output": "Hello", "system": "Be kind"}, "system user assistant"),
    ({"prompt": "Once upon", "completion": " a time"}, "prompt completion"),
]


@pytest.mark.parametrize(("row", "roles"), FORMS)
def test_texts_to_learn_from_are_recognised_and_read_again(row: dict[str, Any], roles: str, tmp_path: Path) -> None:
    result = readers.read(lines(tmp_path, row))
    (only,) = result.examples
    assert " ".join(message.role for message in only.messages) == roles
    assert only.messages[-1].content in ("Hello", "Hello Anna", " a time")
    assert again(jsonl_writer.write, result.examples, tmp_path / "out").examples == result.examples


def test_alpaca_joins_instruction_and_input(tmp_path: Path) -> None:
    (only,) = readers.read(lines(tmp_path, FORMS[2][0])).examples
    assert only.messages[0] == Message("user", "Greet\n\nAnna")


def test_a_json_list_is_read_as_rows(tmp_path: Path) -> None:
    (tmp_path / "alpaca.json").write_text(json.dumps([FORMS[2][0], FORMS[3][0]]))
    assert len(readers.read(tmp_path / "alpaca.json").examples) == 2


def test_other_names_by_mapping(tmp_path: Path) -> None:
    path = lines(tmp_path, {"body": "hello", "class": "greeting", "text": "not this"})
    (only,) = readers.read(path, {"text": "body", "label": "class"}).examples
    assert (only.text, only.labels) == ("hello", {"greeting": 1})
    assert "row 1: it has no key clas" in refused(path, columns={"label": "clas"})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"text": "a",}', "row 2: line 2: this is not JSON"),
        ('{"text": "a", "text": "b"}', "the key text stands twice"),
        ('{"text": "a", "x": NaN}', "NaN is no JSON number"),
        ('{"text": "\\ud800"}', "stands without its other half"),
        ("[" * 100_000, "nested too deeply"),
        ("7", "it is 7; give an object in braces"),
        ({"words": "a"}, "none of its keys is known (words)"),
        ({"text": 7}, "its text is 7; give text in quotes"),
        ({"text": "a", "labels": {"x": 0.5}}, "names with 1 (is) or 0 (is not)"),
        ({"text": "a", "labels": {"x": True}}, "names with 1 (is) or 0 (is not)"),
        ({"text": "a", "label": True}, "its label is True"),
        ({"text": "a", "split": "trial"}, "its split is trial"),
        ({"text": "a", "id": "row-1"}, "the id row-1 was given to a row before"),
        ({"messages": []}, "its messages is []; give a list of at least one turn"),
        ({"messages": [{"role": "king", "content": "a"}]}, "the role of a turn is king; give one of system, user"),
        ({"messages": [{"role": "user", "content": None}]}, "its content is None"),
        ({"conversations": [{"from": "gpt"}]}, "give an object with from and value"),
        ({"text": "a", "regions": 7}, "its regions are 7; give a list"),
        ({"text": "a", "regions": [7]}, "a region is 7"),
        ({"text": "a", "regions": [{"kind": "mask", "concept": "x", "runs": ["a", "b", 1]}]}, "a region is"),
    ],
)
def test_bad_E7_rows_are_refused_with_their_number(row: Any, says: str, tmp_path: Path) -> None:
    path = lines(tmp_path, {"text": "good"}, row)
    details = refused(path)
    assert "row 2: " in details and says in details and str(path) in details
    result = readers.read(path, keep_good=True)
    assert [one.text for one in result.examples] == ["good"] and set(reasons(result)) == {"row 2"}


def test_bad_E4_wrong_encoding_names_the_byte(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"text": "caf\xe9"}\n')
    assert "byte 13 (in line 1) is 0xe9" in refused(tmp_path / "rows.jsonl")


@pytest.mark.parametrize(
    ("region", "says"),
    [
        ({"kind": "box", "concept": "x", "points": [0.5, 0, 0.5, 1]}, "left 0.5 is not below right 0.5"),
        ({"kind": "box", "concept": "x", "points": [0, 0, 1.1, 1]}, "the box's right is 1.1 of the picture"),
        ({"kind": "polygon", "concept": "x", "points": [0, 0, 1, 1]}, "2 different points; it needs at least 3"),
        ({"kind": "span", "concept": "x", "points": [0, 5]}, "the span 0..5 does not lie in the text of 4 characters"),
    ],
)
def test_bad_F1_and_F2_regions_make_their_input_invalid(region: dict[str, Any], says: str, tmp_path: Path) -> None:
    (only,) = readers.read(lines(tmp_path, {"text": "text", "regions": [region]})).examples
    assert says in only.invalid


def test_everything_an_example_holds_is_written_and_read_again(tmp_path: Path) -> None:
    regions = (
        Region("box", "cat", (0.1, 0.25, 0.5, 1.0)),
        Region("polygon", "dog", (0.0, 0.0, 1.0, 0.0, 0.3333333, 1.0), group=1),
        Region("polygon", "dog", (0.0, 0.5, 1.0, 0.0, 0.5, 1.0), group=1),
        Region("mask", "sky", runs=(40, 30, 1000, 200)),
    )
    path = str(picture(tmp_path / "p.png"))
    before = [
        Example("picture 1", "", "val", {"outdoor": 1, "night": 0}, path=path, regions=regions),
        Example("text", "", "test", {"news": 1}, text="Köln\r\n\u2028x\x00", regions=(Region("span", "LOC", (0, 4)),)),
        Example("chat", "", "train", messages=(Message("user", "Hi"), Message("assistant", ""))),
        Example("plain", "", "train", text="no label"),
    ]
    first = again(jsonl_writer.write, before, tmp_path / "first")
    assert [(one.id, one.split, one.labels, one.regions, one.text, one.messages) for one in first.examples] == [
        (one.id, one.split, one.labels, one.regions, one.text, one.messages) for one in before
    ]
    second = again(jsonl_writer.write, first.examples, tmp_path / "second")
    assert without_place(second.examples) == without_place(first.examples) and second.concepts == first.concepts
