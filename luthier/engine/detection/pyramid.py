"""A feature pyramid: coarse maps, which know what is there, enrich the fine ones, which know where. Next: `bodies`."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

Tensor = torch.Tensor


class Pyramid(nn.Module):
    """Lin et al. 2017, "Feature Pyramid Networks": maps of a body to as many of `width` channels each.

    `extra` coarser maps are made by strided convolutions from the coarsest one (Lin et al. 2017, "Focal Loss").
    """

    def __init__(self, channels: Sequence[int], width: int, extra: int = 0) -> None:
        super().__init__()
        self.inner = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.outer = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in channels)
        self.extra = nn.ModuleList(nn.Conv2d(width, width, 3, 2, 1) for _ in range(extra))
        for convolution in self.modules():
            if isinstance(convolution, nn.Conv2d):
                nn.init.kaiming_uniform_(convolution.weight, a=1)
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        inner = [layer(one) for layer, one in zip(self.inner, maps, strict=True)]
        for level in range(len(inner) - 2, -1, -1):
            inner[level] = inner[level] + enlarged(inner[level + 1], inner[level])
        found = [layer(one) for layer, one in zip(self.outer, inner, strict=True)]
        for layer in self.extra:
            found.append(layer(functional.relu(found[-1])))
        return found


def enlarged(small: Tensor, like: Tensor) -> Tensor:
    """`small` as large as `like`, each value repeated. Indexing keeps the backward pass the same on every run."""
    return functional.interpolate(small, size=like.shape[2:], mode="nearest")
