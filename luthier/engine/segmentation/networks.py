"""Segmenters by name. Pictures (B, 3, H, W), sides multiples of 32, to logits (B, 1 + concepts, H', W').

The first class is the background. Logits may be smaller than the picture; who uses them enlarges them.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from luthier.catalog.plan import SegmentationPlan
from luthier.engine.detection.bodies import Body, body_of
from luthier.engine.rows import Rows
from luthier.engine.small_networks import EdgeStem, ResidualBlock, with_stochastic_depth
from luthier.errors import InvalidTrainingParams, shown

Tensor = torch.Tensor
WIDTH = 256  # channels in which SegFormer's decoder joins the maps


class Segmenter(nn.Module):
    """`head` ends in the layer `classifier`, which has a row per class."""

    def get_classifier(self) -> nn.Module:
        """All that pre-trained weights do not bring."""
        raise NotImplementedError

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        rows = Rows(torch.arange(1, classes + 1).view(-1, 1), torch.zeros(1, dtype=torch.long))
        names = [name for name, _ in self.named_parameters() if "classifier." in name]
        return dict.fromkeys(names, rows)


class TinySegmenter(Segmenter):
    """For processors: maps at 1/2 to 1/32 of the sides, and back to 1/2, where the logits are. 0.8 million parameters.

    After Lin et al. 2017, "Feature Pyramid Networks", so that most of the work is done on small maps; the stem sees
    edges of both polarities alike, which few pictures cannot teach.
    """

    ends_of_stages = ("stem", "down.0", "down.1", "down.2", "down.3", "up")

    def __init__(self, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        down, up = (32, 32, 64, 128, 128), (128, 64, 64, 32, 8)  # channels at 1/2 to 1/32, and back to 1/2
        back = down[-2::-1]
        self.stem = EdgeStem(24, 8)
        self.down = nn.ModuleList(ResidualBlock(fine, coarse, 2) for fine, coarse in pairwise(down))
        self.across = nn.ModuleList(nn.Conv2d(one, other, 1) for one, other in zip(back, up[1:], strict=True))
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for coarse, fine in pairwise(up))
        self.up = nn.ModuleList(ResidualBlock(width, width, 1) for width in up[1:])
        self.drop = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(up[-1], classes + 1, 1)

    def get_classifier(self) -> nn.Module:
        return self.classifier

    def forward(self, images: Tensor) -> Tensor:
        maps = [self.stem(images)]
        for layer in self.down:
            maps.append(layer(maps[-1]))
        x: Tensor = maps.pop()
        for across, narrow, up in zip(self.across, self.narrow, self.up, strict=True):
            fine = across(maps.pop())
            x = up(fine + enlarged(narrow(x), fine.shape[2:]))
        logits: Tensor = self.classifier(self.drop(x))
        return logits


class SegFormer(Segmenter):
    """The decoder of SegFormer (Xie et al. 2021) on a hierarchical transformer; logits at a quarter of the sides."""

    def __init__(self, body: Body, classes: int, width: int = WIDTH, dropout: float = 0.1) -> None:
        super().__init__()
        self.body = body
        self.head = nn.ModuleDict({
            "narrow": nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in body.channels),
            "join": nn.Sequential(
                nn.Conv2d(width * len(body.channels), width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
            ),
            "drop": nn.Dropout2d(dropout),
            "classifier": nn.Conv2d(width, classes + 1, 1),
        })  # fmt: skip

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, images: Tensor) -> Tensor:
        maps = self.body(images)
        narrow = self.head["narrow"]
        if not isinstance(narrow, nn.ModuleList):
            raise TypeError("the head's layers are a list")
        same = [enlarged(layer(one), maps[0].shape[2:]) for layer, one in zip(narrow, maps, strict=True)]
        logits: Tensor = self.head["classifier"](self.head["drop"](self.head["join"](torch.cat(same, 1))))
        return logits


def enlarged(x: Tensor, shape: torch.Size) -> Tensor:
    """Bilinear, to the height and width `shape`."""
    return functional.interpolate(x, size=shape, mode="bilinear", align_corners=False)


def build(name: str, classes: int, plan: SegmentationPlan, weights_folder: str = "", weights: str = "") -> Segmenter:
    """The network `name` on the CPU, its body with `weights` of the weights folder where any are named.

    Raises InvalidTrainingParams for an unknown name, MissingWeights and CorruptFile.
    """
    if name == "luthier/tiny_segmenter":
        network = TinySegmenter(classes, dropout=plan.dropout)
        with_stochastic_depth(network, plan.stochastic_depth)
        return network
    if name == "segformer":
        body = body_of(plan.body, (4, 8, 16, 32), weights_folder, weights, 0, False, plan.stochastic_depth)
        return SegFormer(body, classes, plan.decoder_width, plan.dropout)
    raise InvalidTrainingParams(f"backbone is {shown(name)}; there are luthier/tiny_segmenter and segformer")
