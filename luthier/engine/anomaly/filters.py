"""A body of fixed filters: how strong edges and lines of each direction and width are, and which colours there are.

Nothing in it is learnt. Source of the kind of filters: Leung and Malik 2001, "Representing and Recognizing the Visual
Appearance of Materials". Next: `networks`.
"""

import math
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from luthier.engine.detection.bodies import Body

Tensor = torch.Tensor
LEVELS = 3  # of the pyramid: filters of one, two and four times their width
DIRECTIONS = 8
SIDE = 9  # pixels of a filter
GREY = (0.299, 0.587, 0.114)


class FilterBank(Body):
    """Pictures (B, 3, H, W) to one map of LEVELS * (DIRECTIONS * 2 + 1) + 3 channels at the stride, 4 or 8."""

    kernels: Tensor
    small: Tensor

    def __init__(self, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.strides = strides[:1]
        self.channels = (LEVELS * (DIRECTIONS * 2 + 1) + 3,)
        self.register_buffer("kernels", torch.stack([*_kernels()]).unsqueeze(1), persistent=False)
        self.register_buffer("small", _gaussian(1.0, 5).view(1, 1, 5, 5), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        with torch.autocast(images.device.type, enabled=False):  # a faint edge is the difference of two near numbers
            return [self._responses(images.float())]

    def _responses(self, images: Tensor) -> Tensor:
        grey = (images * images.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
        shape = images.shape[2] // self.strides[0], images.shape[3] // self.strides[0]
        found = [functional.adaptive_avg_pool2d(images, shape)]
        for level in range(LEVELS):
            if level:
                grey = functional.conv2d(functional.pad(grey, (2, 2, 2, 2), mode="reflect"), self.small, stride=2)
            margin = SIDE // 2
            responses = functional.conv2d(functional.pad(grey, (margin,) * 4, mode="reflect"), self.kernels).abs()
            found.append(_at(responses, shape))
        return torch.cat(found, 1)

    def stages(self) -> list[list[nn.Module]]:
        return []


def _at(responses: Tensor, shape: tuple[int, int]) -> Tensor:
    """The strongest of a cell, where there are more of them than cells, so that thin lines are not watered down."""
    if responses.shape[2] >= shape[0]:
        return functional.adaptive_max_pool2d(responses, shape)
    return functional.interpolate(responses, size=shape, mode="bilinear", align_corners=False)


def _kernels() -> Iterator[Tensor]:
    """(SIDE, SIDE) each: per direction an edge and a line, then a spot; sums 0, absolute values add up to 1."""
    half = SIDE // 2
    y, x = torch.meshgrid(*[torch.arange(-half, half + 1, dtype=torch.float32)] * 2, indexing="ij")
    for number in range(DIRECTIONS):
        angle = math.pi * number / DIRECTIONS
        along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        bell = torch.exp(-along.square() / 18 - across.square() / 2)
        yield _balanced(-across * bell)
        yield _balanced((1 - across.square()) * bell)
    square = x.square() + y.square()
    yield _balanced((2 - square) * torch.exp(-square / 2))


def _balanced(kernel: Tensor) -> Tensor:
    kernel = kernel - kernel.mean()
    return kernel / kernel.abs().sum()


def _gaussian(deviation: float, side: int) -> Tensor:
    places = torch.arange(side, dtype=torch.float32) - side // 2
    line = torch.exp(-places.square() / (2 * deviation**2))
    line = line / line.sum()
    return line[:, None] * line
