"""Colours change and nothing moves; of mixed pictures boxes and classes go with their pixels."""

from typing import Any

import pytest
import torch

from luthier.catalog.plan import DetectionPlan, PicturePlan, SegmentationPlan
from luthier.engine.colours import grey, jitter, normalised, repaint, turned
from luthier.engine.region_mixing import mixed_boxes, mixed_classes

JITTERS = ("color_jitter", "brightness_jitter", "contrast_jitter", "hue_jitter", "random_augment")


def plan(**fields: Any) -> PicturePlan:
    return PicturePlan(1, 4, 0.1, **fields)


def dice(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", JITTERS)
def test_each_changes_colours_by_the_generator_alone_and_moves_nothing(name: str) -> None:
    asked = plan(**{name: 5 if name == "random_augment" else 0.4})
    flat = torch.full((6, 3, 12, 12), 90.0) + 20 * torch.arange(6).view(6, 1, 1, 1)
    flat[:, 0] += 40
    first, again = (repaint(pictures(), asked, dice()) for _ in range(2))
    assert torch.equal(first, again) and not torch.equal(first, pictures().float())
    assert 0 <= first.min() <= first.max() <= 255
    still = repaint(flat, asked, dice())
    assert torch.allclose(still, still[:, :, :1, :1].expand_as(still), atol=1e-3)  # one colour stays one colour


def test_left_alone_pictures_stay_bytes() -> None:
    left = repaint(pictures(), plan(), dice())
    assert left.dtype == torch.uint8 and torch.equal(left, pictures())


def test_normalised_pictures_have_the_mean_and_the_spread_of_each_channel_taken_off() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    found = normalised(images, (0.5, 0.2, 0.0), (0.25, 0.1, 0.5))
    assert found[1, :, 2, 3].tolist() == pytest.approx([-2, 0, 2], abs=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_brightness_scales_and_contrast_keeps_the_mean() -> None:
    middle = 100 + torch.rand(4, 3, 12, 12, generator=dice()) * 20
    brighter = jitter(middle, plan(brightness_jitter=0.3), dice())
    ratio = brighter / middle
    assert torch.allclose(ratio, ratio[:, :1, :1, :1].expand_as(ratio), atol=1e-4)
    stretched = jitter(middle, plan(contrast_jitter=0.3), dice())
    torch.testing.assert_close(grey(stretched).mean((2, 3)), grey(middle).mean((2, 3)), atol=0.01, rtol=0)


def test_a_turned_hue_leaves_greys_and_luma_alone_and_comes_back_after_a_circle() -> None:
    angles = torch.tensor([0.5, 1.0, 2.0, 3.0])
    greys = torch.rand(4, 1, 5, 5).expand(4, 3, 5, 5) * 255
    torch.testing.assert_close(turned(greys, angles), greys, atol=0.1, rtol=0)
    muted = 100 + 20 * torch.rand(4, 3, 5, 5)
    turned_once = turned(muted, angles)
    torch.testing.assert_close(grey(turned_once), grey(muted), atol=0.2, rtol=0)
    assert float((turned_once - muted).abs().max()) > 3
    torch.testing.assert_close(turned(muted, torch.full((4,), 2 * torch.pi)), muted, atol=0.1, rtol=0)


# -- boxes and classes -------------------------------------------------------------------------------------------------


def boxed() -> dict[str, torch.Tensor]:
    """Two pictures of 40 pixels: a box at the left of the first, one at the right of the second."""
    images = torch.zeros(2, 3, 40, 40)
    images[1] = 200
    return {
        "images": images,
        "boxes": torch.tensor([[[2.0, 2, 12, 12]], [[26.0, 26, 38, 38]]]),
        "concepts": torch.tensor([[0], [1]]),
        "sizes": torch.tensor([[40, 40], [40, 30]]),
    }


def test_a_blend_has_the_boxes_of_both() -> None:
    mixed = mixed_boxes(boxed(), DetectionPlan(1, 2, 0.1, mixup_alpha=1.0), dice())
    assert mixed["concepts"].tolist() == [[0, 1], [1, 0]]
    assert torch.equal(mixed["boxes"][0], torch.tensor([[2.0, 2, 12, 12], [26.0, 26, 38, 38]]))
    assert mixed["sizes"].tolist() == [[40, 40], [40, 40]]
    shares = mixed["images"].mean((1, 2, 3)) / 200
    assert 0 < float(shares[0]) < 1 and float(shares.sum()) == pytest.approx(1)


def test_pasted_parts_bring_their_boxes_and_cover_others() -> None:
    asked = DetectionPlan(1, 2, 0.1, cutmix_alpha=1.0)
    seen = set()
    for seed in range(60):
        mixed = mixed_boxes(boxed(), asked, dice(seed))
        pasted = (mixed["images"][0, 0] == 200).nonzero()
        if not len(pasted):
            continue
        (top, left), (bottom, right) = pasted.amin(0).tolist(), (pasted.amax(0) + 1).tolist()
        hidden = max(0, min(right, 12) - max(left, 2)) * max(0, min(bottom, 12) - max(top, 2)) / 100
        assert (int(mixed["concepts"][0, 0]) == 0) == (1 - hidden >= 1 / 3), seed
        shown = max(0, min(right, 38) - max(left, 26)) * max(0, min(bottom, 38) - max(top, 26)) / 144
        kept = int(mixed["concepts"][0, 1]) == 1
        assert kept == (shown >= 1 / 3), seed
        if kept:
            assert mixed["boxes"][0, 1].tolist() == [max(left, 26), max(top, 26), min(right, 38), min(bottom, 38)]
        seen.add((hidden > 2 / 3, kept))
    assert len(seen) >= 3


def test_classes_are_pasted_with_their_pixels_or_weighed_as_the_blend() -> None:
    batch = {"images": boxed()["images"], "classes": torch.stack([torch.full((40, 40), n) for n in (1, 2)])}
    cut = mixed_classes(batch, SegmentationPlan(1, 2, 0.1, cutmix_alpha=1.0), dice(4))
    assert torch.equal(cut["classes"][0] == 2, cut["images"][0, 0] == 200)
    assert 0 < int((cut["classes"][0] == 2).sum()) < 1600
    blend = mixed_classes(batch, SegmentationPlan(1, 2, 0.1, mixup_alpha=1.0), dice())
    share = float(blend["shares"][0])
    assert torch.equal(blend["others"], batch["classes"].flip(0))
    assert float(blend["images"][0].mean()) == pytest.approx(200 * (1 - share), abs=0.01)
    assert len(blend["shares"]) == 2


def test_one_picture_is_mixed_with_none() -> None:
    one = {name: tensor[:1] for name, tensor in boxed().items()}
    assert mixed_boxes(one, DetectionPlan(1, 2, 0.1, mixup_alpha=1.0, cutmix_alpha=1.0), dice()) is one
