"""What `luthier train --data` takes: a CSV of pictures too; other labels are read and refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from luthier.commands.command_line import run
from luthier.data.writers import coco, voc, yolo
from luthier.runs.manifest import read_manifest, region_to_row
from tests.commands.test_train import QUICK, luthier
from tests.data.layouts import picture
from tests.recipes.scenes import CONCEPTS, HEIGHT, WIDTH, examples, png, scene


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
            "data.csv holds texts: it can be read, but this template learns labels",
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
    assert "holds boxes: it can be read, but this template learns labels of whole pictures" in error


def test_detectors_are_trained_on_boxes_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = examples(tmp_path / "pictures", 20)
    rows = [{"image": f"pictures/{Path(one.path).name}", "split": one.split,
             "regions": [region_to_row(region) for region in one.regions]} for one in found]  # fmt: skip
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows))
    command = ["train", "--template", "luthier_tiny_detector", "--set", "num_epochs=1", "--set", "image_size=[64]"]
    assert run([*command, "--data", str(data), "--out", str(tmp_path / "run"), "--threads", "1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(answer["metrics"]) == {"map", "map50"}
    assert all(0 <= value <= 1 for value in answer["metrics"].values())

    assert run(["predict", "--model", str(tmp_path / "run"), "--json", found[0].path]) == 0
    assert "regions" in json.loads(capsys.readouterr().out.splitlines()[-1])

    drawn = ["predict", "--model", str(tmp_path / "run"), "--save", str(tmp_path / "drawn"), "--least", "0"]
    assert run([*drawn, found[0].path, found[0].path]) == 0
    pictures = sorted((tmp_path / "drawn").iterdir())
    assert [picture.name for picture in pictures] == ["0-0-2.png", "0-0.png"]
    assert Image.open(pictures[0]).size == (WIDTH, HEIGHT)


def test_detectors_refuse_labels_of_whole_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        picture(tmp_path / "data" / name / "1.png")
    assert run(["train", "--template", "luthier_tiny_detector", "--data", str(tmp_path / "data")]) == 2
    assert "this template learns parts of pictures" in capsys.readouterr().err


WRITERS = {"coco": coco.write, "yolo": yolo.write, "voc": voc.write}
DETECTOR, SEGMENTER = "luthier_tiny_detector", "luthier_tiny_segmenter"


def mask_pngs(folder: Path, count: int = 10) -> None:
    generator = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    (folder / "classes.txt").write_text("\n".join(["background", *CONCEPTS]))
    for number in range(count):
        pixels, shapes = scene(generator)
        numbers = np.zeros(pixels.shape[:2], dtype=np.uint8)
        for concept, mask in shapes:
            numbers[mask] = 1 + CONCEPTS.index(concept)
        (folder / "images" / f"{number}.png").write_bytes(png(pixels))
        (folder / "masks" / f"{number}.png").write_bytes(png(numbers))


@pytest.mark.parametrize(
    ("layout", "template", "metrics"),
    [
        ("coco", DETECTOR, {"map", "map50"}),
        ("yolo", DETECTOR, {"map", "map50"}),
        ("voc", DETECTOR, {"map", "map50"}),
        ("coco", SEGMENTER, {"miou", "dice"}),
        ("mask PNGs", SEGMENTER, {"miou", "dice"}),
    ],
)
def test_boxes_and_masks_are_learnt_from_the_usual_layouts(
    layout: str, template: str, metrics: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    if layout == "mask PNGs":
        mask_pngs(data)
    else:
        kind = "box" if template == DETECTOR else "mask"
        WRITERS[layout](data, examples(tmp_path / "pictures", 10, kind=kind, width=WIDTH, height=HEIGHT))
    asked = ["--template", template, "--set", "num_epochs=1", "--set", "image_size=[64]", "--threads", "1", "--json"]
    assert run(["train", *asked, "--data", str(data), "--out", str(tmp_path / "run")]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name for name, value in answer["metrics"].items() if 0 <= value <= 1} == metrics

    some = next((data / "images").iterdir() if (data / "images").exists() else data.rglob("*.png"))
    assert run(["predict", "--model", str(tmp_path / "run"), "--save", str(tmp_path / "drawn"), str(some)]) == 0
    (drawn,) = (tmp_path / "drawn").iterdir()
    assert Image.open(drawn).size == (WIDTH, HEIGHT)
