"""YOLOX (Ge et al. 2021): a CSP body, a pyramid with a way back up, the head without anchors. Written from the paper.

The body is that of YOLOv5 as the paper tells it: a space-to-depth stem, stages of cross-stage partial blocks
(Wang et al. 2020), spatial pyramid pooling before the last. Size "s": depth 1/3, width 1/2.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from luthier.engine.detection.anchor_free import AnchorFreeHead, ConvUnit
from luthier.engine.detection.detector import Choice, Detector, Found, Target
from luthier.engine.detection.pyramid import enlarged
from luthier.engine.rows import Rows

Tensor = torch.Tensor
STRIDES = (8, 16, 32)
POOLS = (5, 9, 13)  # cells


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels)
        self.second = ConvUnit(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.second(self.first(x))
        return x + inner if self.shortcut else inner


class CrossStage(nn.Module):
    """Half of the channels go through the bottlenecks, half pass by."""

    def __init__(self, inputs: int, outputs: int, depth: int, shortcut: bool = True) -> None:
        super().__init__()
        self.through = ConvUnit(inputs, outputs // 2)
        self.past = ConvUnit(inputs, outputs // 2)
        self.blocks = nn.Sequential(*(Bottleneck(outputs // 2, shortcut) for _ in range(depth)))
        self.join = ConvUnit(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.join(torch.cat([self.blocks(self.through(x)), self.past(x)], 1))
        return joined


class SpatialPooling(nn.Module):
    """He et al. 2014: maxima over several neighbourhoods beside the map itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = ConvUnit(channels, channels // 2)
        self.join = ConvUnit(channels // 2 * (1 + len(POOLS)), channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        joined: Tensor = self.join(torch.cat([x, *(functional.max_pool2d(x, side, 1, side // 2) for side in POOLS)], 1))
        return joined


class CSPBody(nn.Module):
    """(B, 3, H, W) to maps at strides 8, 16 and 32."""

    ends_of_stages = ("stem", "stage1", "stage2", "stage3", "stage4")

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.stem = ConvUnit(12, width, 3)
        self.stage1 = nn.Sequential(ConvUnit(width, 2 * width, 3, 2), CrossStage(2 * width, 2 * width, depth))
        self.stage2 = nn.Sequential(ConvUnit(2 * width, 4 * width, 3, 2), CrossStage(4 * width, 4 * width, 3 * depth))
        self.stage3 = nn.Sequential(ConvUnit(4 * width, 8 * width, 3, 2), CrossStage(8 * width, 8 * width, 3 * depth))
        self.stage4 = nn.Sequential(
            ConvUnit(8 * width, 16 * width, 3, 2),
            SpatialPooling(16 * width),
            CrossStage(16 * width, 16 * width, depth, shortcut=False),
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.stage2(self.stage1(self.stem(functional.pixel_unshuffle(images, 2))))
        middle = self.stage3(fine)
        return [fine, middle, self.stage4(middle)]


class TwoWayPyramid(nn.Module):
    """Path aggregation (Liu et al. 2018): from coarse to fine and back."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        fine, middle, coarse = width, 2 * width, 4 * width
        self.narrow_coarse, self.narrow_middle = ConvUnit(coarse, middle), ConvUnit(middle, fine)
        self.down_middle = CrossStage(2 * middle, middle, depth, shortcut=False)
        self.down_fine = CrossStage(2 * fine, fine, depth, shortcut=False)
        self.back_fine, self.back_middle = ConvUnit(fine, fine, 3, 2), ConvUnit(middle, middle, 3, 2)
        self.up_middle = CrossStage(2 * fine, middle, depth, shortcut=False)
        self.up_coarse = CrossStage(2 * middle, coarse, depth, shortcut=False)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        fine, middle, coarse = maps
        top = self.narrow_coarse(coarse)
        between = self.narrow_middle(self.down_middle(torch.cat([enlarged(top, middle), middle], 1)))
        fine = self.down_fine(torch.cat([enlarged(between, fine), fine], 1))
        middle = self.up_middle(torch.cat([self.back_fine(fine), between], 1))
        return [fine, middle, self.up_coarse(torch.cat([self.back_middle(middle), top], 1))]


class YOLOX(Detector):
    """`width` channels after the stem, 32 for size s; 9 million parameters then."""

    def __init__(self, classes: int, width: int = 32, depth: int = 1) -> None:
        super().__init__()
        self.classes = classes
        self.choice = Choice(least_value=0.01, overlap=0.65)
        self.body = CSPBody(width, depth)
        self.pyramid = TwoWayPyramid(4 * width, depth)
        self.head = AnchorFreeHead((4 * width, 8 * width, 16 * width), STRIDES, 4 * width, classes)

    def get_classifier(self) -> nn.Module:
        return nn.ModuleList([self.pyramid, self.head])

    def loss(self, images: Tensor, targets: list[Target]) -> Tensor:
        return self.head.loss(self.pyramid(self.body(images)), targets)

    def detect(self, images: Tensor, sizes: list[tuple[int, int]]) -> list[Found]:
        return self.head.detect(self.pyramid(self.body(images)), sizes, self.choice)

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        return self.head.concept_rows("head.", classes)
