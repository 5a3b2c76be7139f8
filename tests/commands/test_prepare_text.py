"""`luthier train --prepare-text`: kept with the run, and what becomes of empty texts."""

import json
from pathlib import Path

import pytest

from luthier.catalog.text_preparation import checked
from luthier.commands.train_data import Learns, read_data
from luthier.commands.train_request import make_request, parse_preparation
from luthier.errors import InvalidRequest
from luthier.settings import load

TABLE = "text,label\nplays music,sound\n,sound\nchess,games\n  ,games\n" + "".join(
    f"song {n},sound\ncard {n},games\n" for n in range(20)
)


def test_rows_without_a_text_are_refused_left_out_or_filled(tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    file.write_text(TABLE, encoding="utf-8")

    def read(**wanted: str) -> tuple[int, int, list[str]]:
        preparation = checked(wanted, "x")
        found = read_data(file, None, (), load({}), lambda *_: None, learns=Learns.TEXTS, preparation=preparation)
        filled = [one for one in found.examples if one.text == "nothing said"]
        assert len(filled) == (2 if "fill" in wanted else 0)
        return len(found.examples), sum(bool(one.invalid) for one in found.examples), found.notes

    with pytest.raises(InvalidRequest, match=r"2 rows cannot be read\. row 3: its text is empty"):
        read()
    assert read(missing="drop")[:2] == (42, 0)
    assert "2 empty texts are left out" in read(missing="drop")[2][0]
    assert read(missing="fill", fill="nothing said")[:2] == (44, 0)


def test_it_is_checked_before_anything_is_read() -> None:
    request = make_request("luthier_text_transfer", [], exclusive=None, seed=1)
    found = parse_preparation(["lower_case=true", "stemming=english"], request)
    assert found.to_json() == {"lower_case": True, "stemming": "english"}
    with pytest.raises(InvalidRequest, match="--prepare-text has the key lower; it takes missing"):
        parse_preparation(["lower=true"], request)
    with pytest.raises(InvalidRequest, match="--prepare-text lower: write it as name=value"):
        parse_preparation(["lower"], request)
    pictures = make_request("luthier_tiny_resnet", [], exclusive=None, seed=1)
    with pytest.raises(InvalidRequest, match="luthier_tiny_resnet does not"):
        parse_preparation(["lower_case=true"], pictures)


def test_json_lines_may_lack_texts_too(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    rows = [{"text": text, "label": "a"} for text in ("one", "", None, "two", "three")]
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    drop = checked({"missing": "drop"}, "x")
    found = read_data(file, None, (), load({}), lambda *_: None, learns=Learns.TEXTS, preparation=drop)
    assert sorted(one.text for one in found.examples) == ["one", "three", "two"]
