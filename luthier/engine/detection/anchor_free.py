"""A head without anchors: every place of every map proposes one box. Used by `tiny` and `yolox`.

After Ge et al. 2021, "YOLOX": decoupled branches, an objectness beside the concepts, and SimOTA, by which a picture's
objects share out the places that suit them best.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import box_iou

from luthier.engine.detection.boxes import overlap_loss
from luthier.engine.detection.detector import Choice, Found, Target, choose
from luthier.engine.rows import Rows, plain_rows

Tensor = torch.Tensor
RADIUS = 2.5  # strides around an object's centre within which a place may propose it
LIKELIEST = 10  # places whose overlaps add up to the number of places that an object gets
FIRST_VALUE = 0.01  # what an untrained head says of any place


class ConvUnit(nn.Module):
    """Convolution, batch normalisation, SiLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(cast(Tensor, self.norm(self.conv(x))))


class Branches(nn.Module):
    """The head of one map: (B, channels, H, W) to (B, H x W, 5 + classes): box, objectness, concepts."""

    def __init__(self, channels: int, width: int, classes: int, depth: int = 2) -> None:
        super().__init__()
        self.stem = ConvUnit(channels, width)
        self.for_concepts = nn.Sequential(*(ConvUnit(width, width, 3) for _ in range(depth)))
        self.for_boxes = nn.Sequential(*(ConvUnit(width, width, 3) for _ in range(depth)))
        self.concepts = nn.Conv2d(width, classes, 1)
        self.box = nn.Conv2d(width, 4, 1)
        self.object = nn.Conv2d(width, 1, 1)
        for layer in (self.concepts, self.object):
            nn.init.constant_(cast(Tensor, layer.bias), -math.log(1 / FIRST_VALUE - 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        where = self.for_boxes(x)
        parts = [self.box(where), self.object(where), self.concepts(self.for_concepts(x))]
        return torch.cat(parts, 1).flatten(2).transpose(1, 2)


class AnchorFreeHead(nn.Module):
    """One set of branches for each map; maps as from a pyramid, with their strides."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int], width: int, classes: int, depth: int = 2):
        super().__init__()
        self.strides = tuple(strides)
        self.classes = classes
        self.branches = nn.ModuleList(Branches(count, width, classes, depth) for count in channels)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, P, 4) and logits (B, P, 1 + classes) of all places, and the places: x, y, stride, (P, 3)."""
        raw = torch.cat([branch(one) for branch, one in zip(self.branches, maps, strict=True)], 1).float()
        places = torch.cat(
            [places_of(one.shape[2:], stride, one.device) for one, stride in zip(maps, self.strides, strict=True)]
        )
        stride = places[:, 2:]
        middle = places[:, :2] + raw[..., :2] * stride
        half = raw[..., 2:4].clamp(max=6).exp() * stride / 2
        return torch.cat([middle - half, middle + half], -1), raw[..., 4:], places

    def loss(self, maps: Sequence[Tensor], targets: list[Target]) -> Tensor:
        boxes, logits, places = self(maps)
        total: Tensor = boxes.new_zeros(())
        positives = 0
        wanted_objects = torch.zeros_like(logits[..., 0])
        for number, target in enumerate(targets):
            if not len(target.boxes):
                continue
            chosen, owner, overlap = share_out(boxes[number].detach(), logits[number].detach(), places, target)
            positives += len(chosen)
            wanted_objects[number, chosen] = 1.0
            concepts = functional.one_hot(target.concepts[owner], self.classes) * overlap.unsqueeze(1)
            total = total + 5 * overlap_loss(boxes[number, chosen], target.boxes[owner]).sum()
            total = total + functional.binary_cross_entropy_with_logits(
                logits[number, chosen, 1:], concepts, reduction="sum"
            )
        objects = functional.binary_cross_entropy_with_logits(logits[..., 0], wanted_objects, reduction="sum")
        mean: Tensor = (total + objects) / max(1, positives)
        return mean

    def detect(self, maps: Sequence[Tensor], sizes: list[tuple[int, int]], choice: Choice) -> list[Found]:
        boxes, logits, _ = self(maps)
        values = logits.sigmoid()
        values = values[..., 1:] * values[..., :1]
        return [choose(box, value, size, choice) for box, value, size in zip(boxes, values, sizes, strict=True)]

    def concept_rows(self, prefix: str, classes: int) -> dict[str, Rows]:
        names = [f"{prefix}branches.{level}.concepts.{part}" for level in range(len(self.branches))
                 for part in ("weight", "bias")]  # fmt: skip
        return {name: plain_rows(classes) for name in names}


def places_of(shape: Sequence[int], stride: int, device: torch.device) -> Tensor:
    """Centres of a map's cells and its stride, (H x W, 3), in pixels of the picture."""
    rows = (torch.arange(shape[0], device=device) + 0.5) * stride
    columns = (torch.arange(shape[1], device=device) + 0.5) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y, torch.full_like(x, stride)], -1).view(-1, 3)


@torch.no_grad()
def share_out(boxes: Tensor, logits: Tensor, places: Tensor, target: Target) -> tuple[Tensor, Tensor, Tensor]:
    """SimOTA: which places (K,) propose which object (K,), and how much their boxes overlap with it now (K,)."""
    near, fit = _near(places, target.boxes)
    candidates = near.any(0).nonzero().flatten()
    overlap = box_iou(target.boxes, boxes[candidates])  # (objects, candidates)
    values = logits[candidates].sigmoid()
    likely = (values[:, 1:] * values[:, :1]).sqrt().clamp(1e-7, 1 - 1e-7)  # (candidates, classes)
    cost_of_concept = -(1 - likely).log().sum(1).unsqueeze(0) + (
        (1 - likely).log()[:, target.concepts].T - likely.log()[:, target.concepts].T
    )
    cost = cost_of_concept - 3 * (overlap + 1e-8).log()
    cost = cost + 1e5 * ~fit[:, candidates]
    shares = overlap.topk(min(LIKELIEST, len(candidates)), 1).values.sum(1).int().clamp(min=1)
    taken = torch.zeros_like(cost, dtype=torch.bool)
    for row, count in enumerate(shares.tolist()):
        taken[row, cost[row].topk(count, largest=False).indices] = True
    contested = taken.sum(0) > 1
    if contested.any():
        best = cost[:, contested].argmin(0)
        taken[:, contested] = functional.one_hot(best, len(target.boxes)).T.bool()
        _place_the_others(taken, cost)
    owner, place = taken.nonzero(as_tuple=True)
    return candidates[place], owner, overlap[owner, place]


def _place_the_others(taken: Tensor, cost: Tensor) -> None:
    """Each object that others left no place gets the best free one, while there is any."""
    for row in (~taken.any(1)).nonzero().flatten().tolist():
        free = ~taken.any(0)
        if free.any():
            taken[row, cost[row].masked_fill(~free, math.inf).argmin()] = True


def _near(places: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """(objects, places) each: the place lies in the box or near its centre; in it and near, which suits it best.

    A box between all cells has no place in it: the nearest ones suit it then.
    """
    at = places[:, :2].unsqueeze(0)
    inside = ((at > boxes[:, None, :2]) & (at < boxes[:, None, 2:])).all(-1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    away = (at - centres[:, None]).abs().amax(-1)
    central = away < RADIUS * places[:, 2]
    fit = inside & central
    none = ~fit.any(1, keepdim=True)
    fit = fit | (none & (away <= away.amin(1, keepdim=True)))
    return inside | central | fit, fit
