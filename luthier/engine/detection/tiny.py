"""A detector of our own for processors: a small residual body, two maps, a head without anchors."""

import torch
from torch import nn

from luthier.engine.detection.anchor_free import AnchorFreeHead
from luthier.engine.detection.detector import Choice, Detector, Found, Target
from luthier.engine.detection.pyramid import enlarged
from luthier.engine.rows import Rows
from luthier.engine.small_networks import EdgeStem, ResidualBlock

Tensor = torch.Tensor


class TinyDetector(Detector):
    """Pictures of any size from 32 pixels; maps at strides 8 and 16. 1.1 million parameters.

    The stem goes to a quarter of the size at once: on a processor large maps cost time for their memory alone. It sees
    edges of both polarities alike, which few pictures cannot teach.
    """

    ends_of_stages = ("stem", "stage1", "stage2", "stage3")

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.classes = classes
        self.choice = Choice()
        self.stem = EdgeStem(24, 8, size=7, stride=4)
        self.stage1 = ResidualBlock(32, 64, 2)
        self.stage2 = nn.Sequential(ResidualBlock(64, 128, 2), ResidualBlock(128, 128, 1))
        self.stage3 = ResidualBlock(128, 128, 2)
        self.narrow = nn.ModuleList(nn.Conv2d(count, width, 1) for count in (64, 128, 128))
        self.head = AnchorFreeHead((width, width), (8, 16), width, classes, depth=1)

    def get_classifier(self) -> nn.Module:
        return self.head

    def maps(self, images: Tensor) -> list[Tensor]:
        fine = self.stage1(self.stem(images))
        middle = self.stage2(fine)
        coarse = self.stage3(middle)
        middle = self.narrow[1](middle) + enlarged(self.narrow[2](coarse), middle)
        return [self.narrow[0](fine) + enlarged(middle, fine), middle]

    def loss(self, images: Tensor, targets: list[Target]) -> Tensor:
        return self.head.loss(self.maps(images), targets)

    def detect(self, images: Tensor, sizes: list[tuple[int, int]]) -> list[Found]:
        return self.head.detect(self.maps(images), sizes, self.choice)

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        return self.head.concept_rows("head.", classes)
