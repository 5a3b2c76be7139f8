"""Boxes and classes go where the pixels go, whatever is drawn."""

import pytest
import torch

from luthier.catalog.plan import DetectionPlan, SegmentationPlan
from luthier.engine.detection import moves

SIDE = 96
BOX = (20.0, 30.0, 60.0, 50.0)


def batch(count: int = 4) -> dict[str, torch.Tensor]:
    """A white rectangle on black, the only object of each picture."""
    images = torch.zeros(count, 3, SIDE, SIDE, dtype=torch.uint8)
    images[:, :, 30:50, 20:60] = 255
    boxes = torch.zeros(count, 2, 4)
    boxes[:, 0] = torch.tensor(BOX)
    return {
        "images": images,
        "boxes": boxes,
        "concepts": torch.tensor([[0, -1]] * count),
        "sizes": torch.tensor([[SIDE, SIDE]] * count),
    }


def plan(**changes: float) -> DetectionPlan:
    return DetectionPlan(1, 4, 0.1, **{"flip_probability": 0.0, **changes})  # type: ignore[arg-type]


def white(image: torch.Tensor) -> tuple[float, float, float, float]:
    inside = image[0] > 200
    rows, columns = inside.any(1).nonzero().flatten(), inside.any(0).nonzero().flatten()
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "changes",
    [{"flip_probability": 1.0}, {"scale_min": 0.6, "scale_max": 1.6}, {"shift_fraction": 0.3},
     {"flip_probability": 0.5, "scale_min": 0.7, "scale_max": 1.4, "shift_fraction": 0.1}],
)  # fmt: skip
def test_boxes_stay_around_what_they_hold(changes: dict[str, float], seed: int) -> None:
    moved = moves.moved(batch(), plan(**changes), torch.Generator().manual_seed(seed))
    seen = 0
    for image, boxes, concepts in zip(moved["images"], moved["boxes"], moved["concepts"], strict=True):
        if concepts[0] >= 0:
            seen += 1
            assert white(image) == pytest.approx(boxes[0].tolist(), abs=1.5)
        assert concepts[1] == -1
    assert seen


def test_nothing_asked_changes_nothing() -> None:
    before = batch()
    moved = moves.moved(before, plan(), torch.Generator())
    assert all(torch.equal(moved[name], before[name]) for name in before)


def test_a_box_that_has_nearly_left_the_picture_goes() -> None:
    before = batch(1)
    far = torch.tensor([[-55.0, 0.0]])
    left = moves._resampled(before, torch.ones(1, 2), far)
    assert left["concepts"].tolist() == [[-1, -1]]


def test_a_mosaic_has_boxes_of_several_pictures_inside_the_picture() -> None:
    moved = moves.moved(batch(), plan(mosaic_probability=1.0), torch.Generator().manual_seed(3))
    kept = moved["concepts"] >= 0
    boxes = moved["boxes"][kept]
    assert moved["images"].shape == (4, 3, SIDE, SIDE) and kept.sum() >= 4
    assert (boxes >= 0).all() and (boxes <= SIDE).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    for image, own, concepts in zip(moved["images"], moved["boxes"], moved["concepts"], strict=True):
        for left, top, right, bottom in own[concepts >= 0].round().int().tolist():
            assert image[0, top:bottom, left:right].mean() > 150  # it is the white rectangle that lies there


def test_classes_move_with_the_picture_and_what_comes_in_is_unknown() -> None:
    images = batch(1)["images"]
    classes = (images[:, 0] > 0).to(torch.uint8)
    shifted = moves.with_classes(images, classes, torch.ones(1, 2), torch.tensor([[10.0, 5.0]]), 255)
    assert torch.equal(shifted["classes"][0, 5:, 10:], classes[0, :-5, :-10])
    assert (shifted["classes"][0, :5] == 255).all() and (shifted["classes"][0, :, :10] == 255).all()
    scale, origin = moves.views(torch.tensor([[SIDE, SIDE]]), SegmentationPlan(1, 1, 0.1, flip_probability=1.0),
                                torch.Generator())  # fmt: skip
    assert (scale[0, 0], origin[0, 0]) == (-1, SIDE)


@pytest.mark.parametrize("seed", range(3))
def test_some_pictures_become_mosaics_and_the_others_stay_whole(seed: int) -> None:
    """The centre of a mosaic is where four black borders or rectangles meet; a whole one has its rectangle in place."""
    moved = moves.moved(batch(8), plan(mosaic_probability=0.5), torch.Generator().manual_seed(seed))
    kept = (moved["concepts"] >= 0).sum(1)
    whole = [row for row in range(8) if moved["boxes"][row, 0].tolist() == list(BOX) and kept[row] == 1]
    assert 0 < len(whole) < 8
    for row in whole:
        assert white(moved["images"][row]) == BOX
    assert moved["sizes"].tolist() == [[SIDE, SIDE]] * 8
