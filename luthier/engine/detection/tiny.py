"""A detector of our own for processors: a small residual body, two maps, a head without anchors."""

import torch
from torch import nn

from luthier.engine.detection.anchor_free import AnchorFreeHead
from luthier.engine.detection.detector import Choice, Detector, Found, Target
from luthier.engine.detection.pyramid import enlarged
from luthier.engine.rows import Rows
from luthier.engine.small_networks import ResidualBlock

Tensor = torch.Tensor


class TinyDetector(Detector):
    """Pictures of any size from 32 pixels; maps at strides 8 and 16. 0.6 million parameters."""

    ends_of_stages = ("stem", "stage1", "stage2", "stage3", "stage4")

    def __init__(self, classes: int, width: int = 48) -> None:
        super().__init__()
        self.classes = classes
        self.choice = Choice()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.stage1 = ResidualBlock(16, 32, 2)
        self.stage2 = ResidualBlock(32, 64, 2)
        self.stage3 = ResidualBlock(64, 96, 2)
        self.stage4 = ResidualBlock(96, 96, 2)
        self.narrow = nn.ModuleList(nn.Conv2d(count, width, 1) for count in (64, 96, 96))
        self.head = AnchorFreeHead((width, width), (8, 16), width, classes)

    def get_classifier(self) -> nn.Module:
        return self.head

    def maps(self, images: Tensor) -> list[Tensor]:
        fine = self.stage2(self.stage1(self.stem(images)))
        middle = self.stage3(fine)
        coarse = self.stage4(middle)
        middle = self.narrow[1](middle) + enlarged(self.narrow[2](coarse), middle)
        return [self.narrow[0](fine) + enlarged(middle, fine), middle]

    def loss(self, images: Tensor, targets: list[Target]) -> Tensor:
        return self.head.loss(self.maps(images), targets)

    def detect(self, images: Tensor, sizes: list[tuple[int, int]]) -> list[Found]:
        return self.head.detect(self.maps(images), sizes, self.choice)

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        return self.head.concept_rows("head.", classes)
