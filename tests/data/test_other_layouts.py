"""Mask PNGs, MVTec, CoNLL and Label Studio: what they say, what is wrong with them, and that exports read the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from luthier.data import readers
from luthier.data.writers import jsonl as jsonl_writer
from luthier.errors import InvalidRequest
from luthier.runs.manifest import Region
from tests.data.layouts import again, picture, without_place

PALETTE = [0, 0, 0, 255, 0, 0, 0, 255, 0] + [9] * 759  # all 256, or Pillow packs the numbers into fewer bits


def mask(path: Path, numbers: np.ndarray, mode: str = "P") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(numbers.astype(np.uint8))
    if mode == "P":
        image = image.convert("P") if image.mode != "L" else image
        image = Image.frombytes("P", image.size, image.tobytes())
        image.putpalette(PALETTE)
    (image if mode in ("P", "L") else image.convert(mode)).save(path)


def masks(tmp_path: Path, numbers: np.ndarray, mode: str = "P") -> Path:
    picture(tmp_path / "images" / "a.jpg", 4, 3)
    mask(tmp_path / "masks" / "a.png", numbers, mode)
    (tmp_path / "classes.txt").write_text("background\nsky\nsea\n")
    return tmp_path


@pytest.mark.parametrize("mode", ["P", "L"])
def test_masks_are_regions_and_an_export_reads_the_same(mode: str, tmp_path: Path) -> None:
    numbers = np.array([[1, 1, 0, 2], [1, 0, 0, 2], [0, 0, 255, 2]])
    result = readers.read(masks(tmp_path / "in", numbers, mode))
    (only,) = result.examples
    assert only.regions == (
        Region("mask", "sky", runs=(4, 3, 0, 2, 1, 1, 8)),
        Region("mask", "sea", runs=(4, 3, 9, 3)),
    )
    assert [concept.id for concept in result.concepts] == ["sky", "sea"]
    assert without_place(again(jsonl_writer.write, [only], tmp_path / "out").examples) == without_place([only])


@pytest.mark.parametrize(
    ("numbers", "mode", "says"),
    [
        (np.zeros((4, 3)), "P", "its annotation is for 3x4 pixels, the upright picture has 4x3"),
        (np.zeros((3, 4)), "RGB", "masks/a.png: the mask's colours are RGB; give one channel of 8 bits"),
        (np.full((3, 4), 3), "P", "the mask holds class 3; classes.txt has 3, from 0"),
    ],
)
def test_bad_F3_masks_are_invalid(numbers: np.ndarray, mode: str, says: str, tmp_path: Path) -> None:
    (only,) = readers.read(masks(tmp_path, numbers, mode)).examples
    assert says in only.invalid


def test_bad_F3_a_missing_or_broken_mask_is_invalid(tmp_path: Path) -> None:
    folder = masks(tmp_path, np.zeros((3, 4)))
    (folder / "masks" / "a.png").write_bytes((folder / "masks" / "a.png").read_bytes()[:40])
    assert readers.read(folder).examples[0].invalid.startswith("masks/a.png: ")
    (folder / "masks" / "a.png").rename(folder / "masks" / "b.png")
    assert "there is no such mask" in readers.read(folder).examples[0].invalid


def test_mvtec_labels_and_masks(tmp_path: Path) -> None:
    for n in range(20):
        picture(tmp_path / "bottle" / "train" / "good" / f"{n:03}.png", 4, 3)
    picture(tmp_path / "bottle" / "test" / "good" / "000.png", 4, 3)
    picture(tmp_path / "bottle" / "test" / "broken" / "000.png", 4, 3)
    mask(tmp_path / "bottle" / "ground_truth" / "broken" / "000_mask.png", np.array([[0] * 4, [255] * 4, [0] * 4]), "L")
    result = readers.read(tmp_path / "bottle")
    by_id = {one.id: one for one in result.examples}
    assert by_id["test/broken/000.png"].regions == (Region("mask", "broken", runs=(4, 3, 1, 1, 2, 1, 2, 1, 2, 1, 1)),)
    assert by_id["test/good/000.png"].labels == {"good": 1} and by_id["test/broken/000.png"].split == "test"
    assert sorted({one.split for one in result.examples}) == ["test", "train", "val"]
    (tmp_path / "bottle" / "ground_truth" / "broken" / "000_mask.png").unlink()
    broken = [one for one in readers.read(tmp_path / "bottle").examples if one.invalid]
    assert [one.id for one in broken] == ["test/broken/000.png"]


CONLL = """-DOCSTART- -X- O

EU NNP B-ORG
rejects VBZ O
New NNP I-LOC
York NNP I-LOC
Berlin NNP B-LOC

Peter NNP S-PER
"""


def test_conll_entities_are_spans(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.conll").write_text(CONLL)
    result = readers.read(tmp_path / "data" / "train.conll")
    first, second = result.examples
    assert first.text == "EU rejects New York Berlin" and first.id == "train-3"
    assert [
        (region.concept, first.text[int(region.points[0]) : int(region.points[1])]) for region in first.regions
    ] == [
        ("ORG", "EU"),
        ("LOC", "New York"),
        ("LOC", "Berlin"),
    ]
    assert second.regions == (Region("span", "PER", (0, 5)),)
    assert again(jsonl_writer.write, result.examples, tmp_path / "out") == result
    (tmp_path / "data" / "test.conll").write_text("Rome B-LOC\n")
    assert {one.split for one in readers.read(tmp_path / "data").examples} >= {"train", "test"}


@pytest.mark.parametrize(
    ("line", "says"),
    [("alone", "one column"), ("Rome X-LOC", "the tag X-LOC"), ("Rome I-", "the tag I-"), ("Rome B-a/b", "a/b")],
)
def test_bad_E7_conll_lines_are_named(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.conll").write_text(f"good O\n\n{line}\n")
    with pytest.raises(InvalidRequest, match="row 3: ") as caught:
        readers.read(tmp_path / "x.conll")
    assert says in caught.value.details


def studio(tmp_path: Path, *results: dict[str, Any], image: str = "/data/upload/3/a.png", **data: Any) -> Path:
    picture(tmp_path / "a.png", 40, 30)
    tasks = [
        {"id": 7, "data": data or {"image": image}, "annotations": [{"was_cancelled": True}, {"result": list(results)}]}
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    return tmp_path / "export.json"


def rectangle(**changes: Any) -> dict[str, Any]:
    return {
        "type": "rectanglelabels",
        "value": {"x": 10, "y": 20, "width": 50, "height": 30, "rotation": 0, "rectanglelabels": ["cat"], **changes},
    }


def test_label_studio_pictures(tmp_path: Path) -> None:
    triangle = {"type": "polygonlabels", "value": {"points": [[0, 0], [100, 0], [50, 100]], "polygonlabels": ["dog"]}}
    choice = {"type": "choices", "value": {"choices": ["outdoor"]}}
    result = readers.read(studio(tmp_path, rectangle(), triangle, choice))
    (only,) = result.examples
    assert (only.id, only.labels, only.width) == ("7", {"outdoor": 1}, 40)
    assert only.regions == (
        Region("box", "cat", (0.1, 0.2, 0.6, 0.5)),
        Region("polygon", "dog", (0.0, 0.0, 1.0, 0.0, 0.5, 1.0)),
    )
    assert without_place(again(jsonl_writer.write, [only], tmp_path / "out").examples) == without_place([only])
    local = studio(tmp_path, image="/data/local-files/?d=sub/a.png")
    assert not readers.read(local).examples[0].invalid


def test_label_studio_texts(tmp_path: Path) -> None:
    spans = {"type": "labels", "value": {"start": 3, "end": 7, "text": "Rome", "labels": ["LOC"]}}
    (only,) = readers.read(studio(tmp_path, spans, text="in Rome")).examples
    assert (only.text, only.regions) == ("in Rome", (Region("span", "LOC", (3, 7)),))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (rectangle(x=60), "rectanglelabels (cat): the box's right is 1.1"),
        (rectangle(width=0), "the box has no area"),
        (rectangle(rotation=30), "turned by 30 degrees; draw a polygon instead"),
        (rectangle(x=None), "x is None; give a finite number"),
        ({"type": "polygonlabels", "value": {"points": [[0, 0]], "polygonlabels": ["a"]}}, "1 different points"),
        ({"type": "brushlabels", "value": {"rle": [1]}}, "of type brushlabels, which is not read"),
    ],
)
def test_bad_F1_and_F2_in_label_studio_make_the_task_invalid(row: dict[str, Any], says: str, tmp_path: Path) -> None:
    (only,) = readers.read(studio(tmp_path, row)).examples
    assert says in only.invalid


def test_label_studio_addresses_lead_nowhere_else(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    for address in ("https://x.example/a.png", "/data/local-files/?d=../secret.png", "s3://bucket/a.jpg"):
        (tmp_path / "data").mkdir(exist_ok=True)
        assert readers.read(studio(tmp_path / "data", image=address)).examples[0].invalid
