"""What `luthier predict --save` draws."""

import base64
from pathlib import Path

import numpy as np

from luthier.commands.drawing import COLOURS, drawn
from luthier.engine.segmentation.masks import png_of
from luthier.runs.run import RunConcept
from tests.conftest import png

CONCEPTS = [RunConcept("a", "cat"), RunConcept("b", "dog")]


def grey(folder: Path) -> Path:
    file = folder / "grey.png"
    file.write_bytes(png(np.full((100, 200, 3), 100, dtype=np.uint8)))
    return file


def test_boxes_are_drawn_where_they_lie_and_weak_ones_are_not(tmp_path: Path) -> None:
    regions = [
        {"concept": 1, "value": 0.9, "box": [0.25, 0.5, 0.75, 0.9]},
        {"concept": 0, "value": 0.1, "box": [0.0, 0.0, 1.0, 1.0]},
    ]
    picture = np.asarray(drawn(grey(tmp_path), {"regions": regions}, CONCEPTS, 0.3))
    assert picture.shape == (100, 200, 3)
    assert tuple(picture[80, 50]) == tuple(picture[90, 100]) == COLOURS[1]
    assert tuple(picture[0, 0]) == (100, 100, 100)


def test_masks_are_veils(tmp_path: Path) -> None:
    inside = np.zeros((100, 200), dtype=bool)
    inside[:50] = True
    region = {"concept": 0, "value": 1.0, "mask": png_of(inside, 200, 100)}
    picture = np.asarray(drawn(grey(tmp_path), {"regions": [region]}, CONCEPTS, 0))
    assert tuple(picture[10, 10]) == tuple((100 + value) // 2 for value in COLOURS[0])
    assert tuple(picture[60, 10]) == (100, 100, 100)


def test_heat_is_a_veil_where_it_is_hot(tmp_path: Path) -> None:
    heat = np.zeros((50, 100), dtype=np.uint8)  # half as large as the picture
    heat[:, :40] = 255
    answer = {"values": [0.9], "heatmap": base64.b64encode(png(heat)).decode()}
    picture = np.asarray(drawn(grey(tmp_path), answer, CONCEPTS, 0.3)).astype(int)
    assert tuple(picture[50, 150]) == (100, 100, 100)
    red, green, blue = picture[50, 20]
    assert red > 150 and green < 60 and blue < 70
