"""What `luthier train --data` takes: a CSV of pictures too; other labels are read and refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from luthier.commands.command_line import run
from luthier.runs.manifest import read_manifest
from tests.commands.test_train import QUICK, luthier
from tests.data.layouts import picture


def test_train_reads_a_csv_of_pictures(digit_folder: Callable[[int], Path], tmp_path: Path) -> None:
    folder = digit_folder(100)
    files = sorted(folder.glob("*/*.png"))
    rows = [
        f"{file.relative_to(folder)},{file.parent.name},{('train', 'test')[n % 5 == 0]}" for n, file in enumerate(files)
    ]
    (folder / "labels.csv").write_text("\n".join(["file,label,split", *rows, "gone.png,3,train", ""]))
    arguments = ["--data", str(folder / "labels.csv"), "--columns", "image=file", "--out", str(tmp_path / "run")]
    answer = luthier("train", *QUICK, *arguments, "--set", "num_epochs=1", "--json")
    assert answer.returncode == 0, answer.stderr
    assert "100 pictures, 10 classes" in answer.stderr and "gone.png: there is no file" in answer.stderr
    assert "accuracy" in json.loads(answer.stdout.splitlines()[-1])["metrics"]
    splits = [example.split for example in read_manifest(tmp_path / "run" / "manifest.jsonl")]
    assert (splits.count("train"), splits.count("test")) == (81, 20)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "data.csv",
            "text,label\na,b\nc,d\n",
            "data.csv holds texts: it can be read, but this version trains pictures",
        ),
        ("data.jsonl", '{"prompt": "a", "completion": "b"}\n', "holds conversations"),
        ("data.csv", "image,label\na.png\n", "row 2: it has 1 cells, the header has 2"),
        ("data.csv", "file,label\na.png,x\n", "image=file"),
        ("data.txt", "hello", "cannot be read"),
    ],
)
def test_bad_E9_what_cannot_be_trained_is_named(
    name: str, text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert run(["train", *QUICK, "--data", str(tmp_path / name), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [(["image"], "write it as name=column"), (["image=a", "image=b"], "is given twice"), (["image=a"], "CSV, TSV and")],
)
def test_columns_that_make_no_sense_are_refused(
    given: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cats").mkdir()
    options = [part for one in given for part in ("--columns", one)]
    assert run(["train", *QUICK, "--data", str(tmp_path), *options]) == 2
    assert says in capsys.readouterr().err


def test_train_refuses_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "a.png")
    regions = [{"kind": "box", "concept": "x", "points": [0, 0, 1, 1]}]
    (tmp_path / "data.jsonl").write_text(json.dumps({"image": "a.png", "regions": regions}))
    assert run(["train", *QUICK, "--data", str(tmp_path / "data.jsonl")]) == 2
    error = capsys.readouterr().err
    assert (
        "holds boxes: it can be read, but this version trains pictures with labels of the whole picture only" in error
    )
