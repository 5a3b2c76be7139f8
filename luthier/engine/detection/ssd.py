"""SSD on VGG-16 (Liu et al. 2016), with torchvision's head, default boxes and loss."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torchvision.models.detection import ssd as torchvision_ssd
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from luthier.engine.detection.bodies import Body
from luthier.engine.detection.detector import Choice, Detector, Found, Target, choose
from luthier.engine.rows import Rows

Tensor = torch.Tensor
STRIDES = (8, 16, 32, 64, 128, 256, 512)
WIDTH = 512  # channels of the third map; the second has twice, the coarser ones half as many
RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]]
SCALES = [0.07, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05]  # of the picture's sides; those of SSD512
FIRST_SCALE = 20.0  # of the normalised finest map, learnt from there


class SSD(Detector):
    """One stage over seven maps. The body is VGG-16 with maps at strides 8 and 16."""

    def __init__(self, body: Body, classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.classes = classes
        self.choice = Choice(least_value=0.02, overlap=0.45)
        self.body = body
        self.neck = Neck(body.channels, width)
        boxes = DefaultBoxGenerator(RATIOS, scales=SCALES, steps=list(STRIDES))
        self.anchors = boxes.num_anchors_per_location()
        head = torchvision_ssd.SSDHead(self.neck.channels, self.anchors, classes + 1)
        parts: Any = torchvision_ssd.SSD(nn.Identity(), boxes, (512, 512), classes + 1, head=head)
        self.parts = parts

    def get_classifier(self) -> nn.Module:
        return nn.ModuleList([self.neck, self.parts])

    def loss(self, images: Tensor, targets: list[Target]) -> Tensor:
        raw, anchors = self._raw(images, [(images.shape[2], images.shape[3])] * len(images))
        wanted = [{"boxes": target.boxes, "labels": target.concepts + 1} for target in targets]
        matches = [self._matched(target, own) for target, own in zip(targets, anchors, strict=True)]
        losses = self.parts.compute_loss(wanted, raw, anchors, matches)
        total: Tensor = sum(losses.values())
        return total

    def detect(self, images: Tensor, sizes: list[tuple[int, int]]) -> list[Found]:
        raw, anchors = self._raw(images, sizes)
        values = raw["cls_logits"].softmax(-1)[..., 1:]
        boxes = [self.parts.box_coder.decode_single(*one) for one in zip(raw["bbox_regression"], anchors, strict=True)]
        return [choose(*one, self.choice) for one in zip(boxes, values, sizes, strict=True)]

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        """The first class of each default box is the background."""
        found: dict[str, Rows] = {}
        for level, anchors in enumerate(self.anchors):
            rows = torch.arange(anchors * (classes + 1)).view(anchors, classes + 1)
            names = (f"parts.head.classification_head.module_list.{level}.{part}" for part in ("weight", "bias"))
            found |= {name: Rows(rows[:, 1:].T, rows[:, 0]) for name in names}
        return found

    def _raw(self, images: Tensor, sizes: list[tuple[int, int]]) -> tuple[dict[str, Tensor], list[Tensor]]:
        maps = self.neck(self.body(images))
        raw = {name: tensor.float() for name, tensor in self.parts.head(maps).items()}
        return raw, self.parts.anchor_generator(ImageList(images, sizes), maps)

    def _matched(self, target: Target, anchors: Tensor) -> Tensor:
        if not len(target.boxes):
            return torch.full((len(anchors),), -1, dtype=torch.long, device=anchors.device)
        matches: Tensor = self.parts.proposal_matcher(box_iou(target.boxes, anchors))
        return matches


class Neck(nn.Module):
    """Two maps of the body to seven. Padding keeps the coarsest of small pictures at one cell."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.channels = [channels[0], 2 * width, width, *[width // 2] * 4]
        self.scale = nn.Parameter(torch.full((1, channels[0], 1, 1), FIRST_SCALE))
        self.wide = nn.Sequential(
            nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(channels[1], 2 * width, 3, padding=6, dilation=6),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 1),
            nn.ReLU(),
        )
        inner = [width // 2, *[width // 4] * 4]
        self.coarser = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(self.channels[level + 1], inner[level], 1), nn.ReLU(),
                nn.Conv2d(inner[level], self.channels[level + 2], 3, 2, 1), nn.ReLU(),
            )
            for level in range(len(inner))
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        fine, middle = maps
        found = [functional.normalize(fine, dim=1) * self.scale, self.wide(middle)]
        for layer in self.coarser:
            found.append(layer(found[-1]))
        return found
