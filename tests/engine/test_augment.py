"""Augmentation: off means untouched, the same generator means the same pictures, each change is what its name says."""

import math
from typing import Any

import pytest
import torch

from luthier.catalog.plan import ImagePlan
from luthier.engine.augment import augment, mix
from luthier.engine.random_augment import OPERATIONS

EVERYTHING: dict[str, Any] = {
    "flip_probability": 0.5,
    "crop_scale_min": 0.3,
    "shift_fraction": 0.1,
    "rotate_degrees": 20.0,
    "color_jitter": 0.4,
    "random_augment": 7,
    "erase_probability": 0.5,
}


def plan(**changes: Any) -> ImagePlan:
    return ImagePlan(epochs=1, batch_size=8, learning_rate=0.1, image_size=24, **changes)


def pictures() -> torch.Tensor:
    return torch.randint(0, 256, (8, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def dice(seed: int = 2) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_nothing_changed() -> None:
    assert torch.equal(augment(pictures(), plan(), dice()), pictures())


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_change_depends_on_the_generator_alone(name: str) -> None:
    one = plan(**{name: EVERYTHING[name]})
    first, again, other = (augment(pictures(), one, dice(seed)).float() for seed in (2, 2, 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, pictures().float())
    assert first.shape == pictures().shape
    assert 0 <= first.min() <= first.max() <= 255


def test_certain_flips_mirror_every_picture() -> None:
    assert torch.equal(augment(pictures(), plan(flip_probability=1.0), dice()), pictures().flip(-1))
    upside_down = plan(flip_probability=1.0, flip_direction="vertical")
    assert torch.equal(augment(pictures(), upside_down, dice()), pictures().flip(-2))


def test_shift_moves_by_at_most_the_share_of_the_side() -> None:
    dot = torch.zeros(64, 3, 20, 20)
    dot[:, :, 10, 10] = 255
    moved = augment(dot, plan(shift_fraction=0.1), dice())
    places = moved.sum(1).flatten(1).argmax(1)
    rows, columns = places // 20, places % 20
    assert int((rows - 10).abs().max()) <= 2
    assert int((columns - 10).abs().max()) <= 2
    assert len(set(places.tolist())) > 5


def test_erasing_takes_between_a_fiftieth_and_a_third() -> None:
    white = torch.full((200, 3, 50, 50), 255, dtype=torch.uint8)
    erased = (augment(white, plan(erase_probability=1.0), dice())[:, 0] != 255).float().mean((1, 2))
    assert float(erased.min()) > 0.005
    assert float(erased.max()) < 0.36


@pytest.mark.parametrize(
    "settings", [{"mixup_alpha": 0.5}, {"cutmix_alpha": 1.0}, {"mixup_alpha": 0.2, "cutmix_alpha": 1.0}]
)
def test_mixing_shares_pictures_and_targets_alike(settings: dict[str, float]) -> None:
    images = torch.stack([torch.full((3, 40, 40), float(value)) for value in (0, 0, 100, 100)])
    targets = torch.tensor([[1.0, 0.0]] * 2 + [[0.0, 1.0]] * 2)
    mixed, shares = mix(images, targets, plan(**settings), dice(11))
    torch.testing.assert_close(shares.sum(1), torch.ones(4))
    torch.testing.assert_close(mixed.mean((1, 2, 3)) / 100, shares[:, 1], atol=1e-4, rtol=0)
    assert 0 < float(shares[0, 0]) < 1


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_random_augment_operations_keep_shape_and_finite_values(operation: Any) -> None:
    images = pictures().float()
    for strength in (-1.0, 0.0, 1.0):
        changed = operation(images, torch.full((8,), strength))
        assert changed.shape == images.shape
        assert math.isfinite(float(changed.abs().max()))
    gentle = operation(images, torch.zeros(8))
    if operation.__name__ not in ("_autocontrast", "_invert_above"):
        torch.testing.assert_close(gentle, images, atol=0.01, rtol=0)
