"""Arithmetic of boxes: overlap, losses on it, and offsets from anchors. Next: `anchor_free`, `anchored`."""

import math

import torch
from torchvision.ops import generalized_box_iou_loss

Tensor = torch.Tensor
LARGEST_STRETCH = math.log(1000 / 16)  # of an anchor's sides, so that exp() stays finite


def overlap_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """(N,) of boxes (N, 4) pair by pair: 1 - GIoU (Rezatofighi et al. 2019)."""
    loss: Tensor = generalized_box_iou_loss(predicted, wanted)
    return loss


def offsets_from(anchors: Tensor, boxes: Tensor) -> Tensor:
    """(N, 4): shift of the centre as a share of the anchor's side, logarithm of the stretch (Girshick et al. 2014)."""
    centre, side = _centred(anchors)
    to_centre, to_side = _centred(boxes)
    return torch.cat([(to_centre - centre) / side, (to_side / side).log()], -1)


def boxes_from(anchors: Tensor, offsets: Tensor) -> Tensor:
    """The inverse of `offsets_from`; (…, 4) each."""
    centre, side = _centred(anchors)
    middle = centre + offsets[..., :2] * side
    half = side * offsets[..., 2:].clamp(max=LARGEST_STRETCH).exp() / 2
    return torch.cat([middle - half, middle + half], -1)


def _centred(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
