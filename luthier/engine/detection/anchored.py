"""What networks with anchors share: the anchors and the losses of concepts. Next: `retinanet`, `yolof`."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from luthier.engine.detection.anchor_free import places_of

Tensor = torch.Tensor
PER_POSITIVE = 3  # negatives, where only the hardest count


def anchors_of(
    maps: Sequence[Tensor], strides: Sequence[int], sides: Sequence[float], ratios: Sequence[float], images: Tensor
) -> Tensor:
    """Boxes (all places of all maps x anchors, 4); `sides` in strides, `ratios` are width to height at equal area.

    Places are spread evenly over the pictures: a body without padding has maps a little smaller than its strides say.
    """
    found = []
    for one, stride in zip(maps, strides, strict=True):
        spread = [images.shape[axis] / one.shape[axis] / stride for axis in (3, 2)]
        centres = places_of(one.shape[2:], stride, one.device)[:, None, :2] * torch.tensor(spread, device=one.device)
        shapes = torch.tensor(
            [[side * stride * ratio**0.5 / 2, side * stride / ratio**0.5 / 2] for side in sides for ratio in ratios],
            device=one.device,
        )
        found.append(torch.cat([centres - shapes, centres + shapes], -1).view(-1, 4))
    return torch.cat(found)


def flat(raw: Tensor, anchors: int) -> Tensor:
    """(B, anchors x K, H, W) to (B, H x W x anchors, K), in the order of `anchors_of`."""
    count, _, height, width = raw.shape
    return (
        raw.view(count, anchors, -1, height, width).permute(0, 3, 4, 1, 2).reshape(count, height * width * anchors, -1)
    )


def focal_loss(logits: Tensor, wanted: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Each element's (Lin et al. 2017, "Focal Loss"), not reduced."""
    plain = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    value = logits.sigmoid()
    wrong = value * (1 - wanted) + (1 - value) * wanted
    return (alpha * wanted + (1 - alpha) * (1 - wanted)) * wrong**gamma * plain


def hardest_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """The sum over the positive anchors, rows of (N, C), and over three times as many of the hardest negatives.

    Online hard example mining (Shrivastava et al. 2016), by anchors, as SSD does it.
    """
    rows = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1)
    positive = wanted.any(1)
    count = min(int((~positive).sum()), PER_POSITIVE * max(1, int(positive.sum())))
    return rows[positive].sum() + rows[~positive].topk(count).values.sum()
