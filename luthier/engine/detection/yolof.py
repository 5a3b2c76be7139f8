"""YOLOF, "You Only Look One-level Feature" (Chen et al. 2021): one map at stride 32, a dilated encoder, and matching
that gives every object the same number of anchors.
"""

import math
from typing import cast

import torch
from torch import nn
from torchvision.ops import box_iou

from luthier.engine.detection.anchored import anchors_of, flat, focal_loss
from luthier.engine.detection.bodies import Body
from luthier.engine.detection.boxes import boxes_from, overlap_loss
from luthier.engine.detection.detector import Choice, Detector, Found, Target, choose
from luthier.engine.rows import Rows, rows_per_anchor

Tensor = torch.Tensor
WIDTH = 512
DILATIONS = (2, 4, 6, 8)
SIDES = (1, 2, 4, 8, 16)  # strides
STRIDE = 32
NEAREST = 4  # anchors, and as many predictions, that each object gets
TOO_GOOD, TOO_FAR = 0.7, 0.15  # overlap of a prediction that is no negative; of an anchor that is no positive
LONGEST_SHIFT = 32.0  # pixels that a box's centre may leave its anchor's
FIRST_VALUE = 0.01


class YOLOF(Detector):
    """The body gives its map at stride 32."""

    def __init__(self, body: Body, classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.classes = classes
        self.choice = Choice(least_value=0.05, overlap=0.6)
        self.body = body
        self.encoder = nn.Sequential(
            nn.Conv2d(body.channels[-1], width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            *(Dilated(width, dilation) for dilation in DILATIONS),
        )
        self.head = nn.ModuleDict({
            "for_concepts": _tower(width, 2),
            "for_boxes": _tower(width, 4),
            "concepts": nn.Conv2d(width, len(SIDES) * classes, 3, 1, 1),
            "boxes": nn.Conv2d(width, len(SIDES) * 4, 3, 1, 1),
            "object": nn.Conv2d(width, len(SIDES), 3, 1, 1),
        })  # fmt: skip
        for name in ("concepts", "boxes", "object"):
            nn.init.normal_(cast(Tensor, self.head[name].weight), std=0.01)
            nn.init.zeros_(cast(Tensor, self.head[name].bias))
        nn.init.constant_(cast(Tensor, self.head["concepts"].bias), -math.log(1 / FIRST_VALUE - 1))

    def get_classifier(self) -> nn.Module:
        return nn.ModuleList([self.encoder, self.head])

    def loss(self, images: Tensor, targets: list[Target]) -> Tensor:
        logits, boxes, anchors = self._raw(images)
        total, positives = logits.new_zeros(()), 0
        for own_logits, own_boxes, target in zip(logits, boxes, targets, strict=True):
            wanted = torch.zeros_like(own_logits)
            counted = torch.ones(len(anchors), dtype=torch.bool, device=anchors.device)
            if len(target.boxes):
                place, owner = nearest(anchors, own_boxes.detach(), target.boxes)
                counted = box_iou(target.boxes, own_boxes.detach()).amax(0) <= TOO_GOOD
                counted[place] = True
                near = box_iou(target.boxes, anchors)[owner, place] >= TOO_FAR
                counted[place[~near]] = False
                place, owner = place[near], owner[near]
                counted[place] = True
                wanted[place, target.concepts[owner]] = 1.0
                total = total + overlap_loss(own_boxes[place], target.boxes[owner]).sum()
                positives += len(place)
            total = total + focal_loss(own_logits[counted], wanted[counted]).sum()
        return total / max(1, positives)

    def detect(self, images: Tensor, sizes: list[tuple[int, int]]) -> list[Found]:
        logits, boxes, _ = self._raw(images)
        return [choose(*one, self.choice) for one in zip(boxes, logits.sigmoid(), sizes, strict=True)]

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        return {f"head.concepts.{part}": rows_per_anchor(classes, len(SIDES)) for part in ("weight", "bias")}

    def _raw(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, N, C), boxes (B, N, 4) and the N anchors."""
        features = self.encoder(self.body(images)[-1])
        head, count = self.head, len(SIDES)
        where = head["for_boxes"](features)
        concepts = flat(head["concepts"](head["for_concepts"](features)), count).float()
        thing = flat(head["object"](where), count).float()
        # the logit of the product of both sigmoids
        logits = concepts + thing - torch.logaddexp(torch.logaddexp(concepts, thing), torch.zeros_like(concepts))
        anchors = anchors_of([features], [STRIDE], SIDES, [1.0], images)
        offsets = flat(head["boxes"](where), count).float()
        reach = LONGEST_SHIFT / (anchors[:, 2:] - anchors[:, :2])
        shift = torch.maximum(torch.minimum(offsets[..., :2], reach), -reach)
        return logits, boxes_from(anchors, torch.cat([shift, offsets[..., 2:]], -1)), anchors


@torch.no_grad()
def nearest(anchors: Tensor, predicted: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """Uniform matching: the nearest anchors and the nearest predictions of every object, as (place, object) pairs."""
    pairs = []
    count = min(NEAREST, len(anchors))
    for boxes in (anchors, predicted):
        distance = torch.cdist(_centred(objects), _centred(boxes), p=1)
        places = distance.topk(count, largest=False).indices
        owners = torch.arange(len(objects), device=objects.device).unsqueeze(1).expand_as(places)
        pairs.append(torch.stack([places.flatten(), owners.flatten()]))
    both = torch.cat(pairs, 1)
    return both[0], both[1]


def _centred(boxes: Tensor) -> Tensor:
    """Centre and sides, (N, 4)."""
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)


class Dilated(nn.Module):
    """A residual block that looks `dilation` cells far."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_unit(width, width // 4, 1), *_unit(width // 4, width // 4, 3, dilation), *_unit(width // 4, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.layers(x))


def _unit(inputs: int, outputs: int, size: int, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (size // 2)
    convolution = nn.Conv2d(inputs, outputs, size, padding=padding, dilation=dilation, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _tower(width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(layer for _ in range(depth) for layer in _unit(width, width, 3)))
