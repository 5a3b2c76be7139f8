"""RetinaNet (Lin et al. 2017, "Focal Loss for Dense Object Detection") over any body, with a box for each concept
where that is asked for.

The towers have group normalisation, which the paper's have not: so they also learn from random weights.
"""

import math
from typing import cast

import torch
from torch import nn
from torch.nn import functional
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from luthier.catalog.plan import DetectionPlan
from luthier.engine.detection.anchored import anchors_of, flat, focal_loss, hardest_loss
from luthier.engine.detection.bodies import Body
from luthier.engine.detection.boxes import boxes_from, offsets_from
from luthier.engine.detection.detector import Choice, Detector, Found, Target, choose
from luthier.engine.detection.pyramid import Pyramid
from luthier.engine.rows import Rows, rows_per_anchor

Tensor = torch.Tensor
WIDTH, DEPTH, GROUPS = 256, 4, 32
SIDES = tuple(4 * 2 ** (step / 3) for step in range(3))  # strides
FIRST_VALUE = 0.01
BEND = 1 / 9  # where the loss of an offset turns from square to straight


class RetinaNet(Detector):
    """One stage over five maps, from stride 8 to 128."""

    def __init__(self, body: Body, classes: int, plan: DetectionPlan, width: int = WIDTH, depth: int = DEPTH) -> None:
        super().__init__()
        self.classes = classes
        self.choice = Choice(least_value=0.03, overlap=0.5)
        self.ratios = plan.anchor_ratios
        self.anchors = len(SIDES) * len(self.ratios)
        self.own_boxes = plan.per_class_boxes
        self.focal = plan.focal_loss
        self.body = body
        self.pyramid = Pyramid(body.channels, width, extra=2)
        self.strides = (*body.strides, 2 * body.strides[-1], 4 * body.strides[-1])
        self.head = nn.ModuleDict({
            "for_concepts": _tower(width, depth),
            "for_boxes": _tower(width, depth),
            "concepts": nn.Conv2d(width, self.anchors * classes, 3, 1, 1),
            "boxes": nn.Conv2d(width, self.anchors * 4 * (classes if self.own_boxes else 1), 3, 1, 1),
        })  # fmt: skip
        for name in ("concepts", "boxes"):
            nn.init.normal_(cast(Tensor, self.head[name].weight), std=0.01)
            nn.init.zeros_(cast(Tensor, self.head[name].bias))
        nn.init.constant_(cast(Tensor, self.head["concepts"].bias), -math.log(1 / FIRST_VALUE - 1))
        self.matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)

    def get_classifier(self) -> nn.Module:
        return nn.ModuleList([self.pyramid, self.head])

    def loss(self, images: Tensor, targets: list[Target]) -> Tensor:
        logits, offsets, anchors = self._raw(images)
        total = logits.new_zeros(())
        for own_logits, own_offsets, target in zip(logits, offsets, targets, strict=True):
            total = total + self._loss_of_one(own_logits, own_offsets, anchors, target)
        return total / len(images)

    def _loss_of_one(self, logits: Tensor, offsets: Tensor, anchors: Tensor, target: Target) -> Tensor:
        wanted = torch.zeros_like(logits)
        if not len(target.boxes):
            return self._loss_of_concepts(logits, wanted)
        match = self.matcher(box_iou(target.boxes, anchors))
        positive = (match >= 0).nonzero().flatten()
        owner = match[positive]
        concepts = target.concepts[owner]
        wanted[positive, concepts] = 1.0
        counted = match != Matcher.BETWEEN_THRESHOLDS
        of_concepts = self._loss_of_concepts(logits[counted], wanted[counted])
        predicted = offsets[positive, concepts if self.own_boxes else torch.zeros_like(concepts)]
        right = offsets_from(anchors[positive], target.boxes[owner])
        of_boxes = functional.smooth_l1_loss(predicted, right, reduction="sum", beta=BEND)
        return of_concepts / max(1, len(positive)) + of_boxes / max(1, len(positive))

    def _loss_of_concepts(self, logits: Tensor, wanted: Tensor) -> Tensor:
        return focal_loss(logits, wanted).sum() if self.focal else hardest_loss(logits, wanted)

    def detect(self, images: Tensor, sizes: list[tuple[int, int]]) -> list[Found]:
        logits, offsets, anchors = self._raw(images)
        boxes = boxes_from(anchors.unsqueeze(1), offsets)  # (B, N, C or 1, 4)
        boxes = boxes if self.own_boxes else boxes.squeeze(2)
        values = logits.sigmoid()
        return [choose(*one, self.choice) for one in zip(boxes, values, sizes, strict=True)]

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        found = {f"head.concepts.{part}": rows_per_anchor(classes, self.anchors) for part in ("weight", "bias")}
        if self.own_boxes:
            found |= {f"head.boxes.{part}": rows_per_anchor(classes, self.anchors, 4) for part in ("weight", "bias")}
        return found

    def _raw(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, N, C), offsets (B, N, C or 1, 4) and the N anchors."""
        maps = self.pyramid(self.body(images))
        head = self.head
        logits = torch.cat([flat(head["concepts"](head["for_concepts"](one)), self.anchors) for one in maps], 1)
        offsets = torch.cat([flat(head["boxes"](head["for_boxes"](one)), self.anchors) for one in maps], 1)
        anchors = anchors_of(maps, self.strides, SIDES, self.ratios, images)
        return logits.float(), offsets.float().view(*offsets.shape[:2], -1, 4), anchors


def _tower(width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        convolution = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        layers += [convolution, nn.GroupNorm(GROUPS, width), nn.ReLU()]
    return nn.Sequential(*layers)
