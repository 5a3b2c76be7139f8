"""BN-Inception, the network of Ioffe and Szegedy 2015, "Batch Normalization". Next: `backbones`, which loads it.

Module names are those of the layers in the paper's figure 5: 3a to 3c, 4a to 4e, 5a and 5b.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional


class ConvBN(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Four branches side by side: 1x1; 1x1 and 3x3; 1x1 and two 3x3; pooling and 1x1. Widths as in the paper."""

    def __init__(
        self, inputs: int, n1: int, n3: tuple[int, int], double: tuple[int, int], pool: str, proj: int
    ) -> None:
        super().__init__()
        self.pool = pool
        self.branch1 = ConvBN(inputs, n1)
        self.branch3 = nn.Sequential(ConvBN(inputs, n3[0]), ConvBN(n3[0], n3[1], 3))
        self.double3 = nn.Sequential(
            ConvBN(inputs, double[0]), ConvBN(double[0], double[1], 3), ConvBN(double[1], double[1], 3)
        )
        self.projection = ConvBN(inputs, proj)
        self.channels = n1 + n3[1] + double[1] + proj

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooling = functional.avg_pool2d if self.pool == "avg" else functional.max_pool2d
        pooled = pooling(x, 3, 1, 1)
        return torch.cat([self.branch1(x), self.branch3(x), self.double3(x), self.projection(pooled)], 1)


class Reduction(nn.Module):
    """Halves the side: 1x1 and strided 3x3; 1x1 and two 3x3, the last strided; max pooling passed through."""

    def __init__(self, inputs: int, n3: tuple[int, int], double: tuple[int, int]) -> None:
        super().__init__()
        self.branch3 = nn.Sequential(ConvBN(inputs, n3[0]), ConvBN(n3[0], n3[1], 3, 2))
        self.double3 = nn.Sequential(
            ConvBN(inputs, double[0]), ConvBN(double[0], double[1], 3), ConvBN(double[1], double[1], 3, 2)
        )
        self.channels = inputs + n3[1] + double[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.branch3(x), self.double3(x), functional.max_pool2d(x, 3, 2, 1)], 1)


class BNInception(nn.Module):
    """Images (B, 3, S, S), S of at least 32, to logits (B, classes). 32x downsampling, 1,024 features."""

    ends_of_stages = ("conv1", "conv2", "mod3b", "mod4d", "mod5b")

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = ConvBN(3, 64, 7, 2)
        self.conv2 = nn.Sequential(ConvBN(64, 64), ConvBN(64, 192, 3))
        self.mod3a = Inception(192, 64, (64, 64), (64, 96), "avg", 32)
        self.mod3b = Inception(256, 64, (64, 96), (64, 96), "avg", 64)
        self.mod3c = Reduction(320, (128, 160), (64, 96))
        self.mod4a = Inception(576, 224, (64, 96), (96, 128), "avg", 128)
        self.mod4b = Inception(576, 192, (96, 128), (96, 128), "avg", 128)
        self.mod4c = Inception(576, 160, (128, 160), (128, 160), "avg", 96)
        self.mod4d = Inception(576, 96, (128, 192), (160, 192), "avg", 96)
        self.mod4e = Reduction(576, (128, 192), (192, 256))
        self.mod5a = Inception(1024, 352, (192, 320), (160, 224), "avg", 128)
        self.mod5b = Inception(1024, 352, (192, 320), (192, 224), "max", 128)
        self.head = nn.Linear(1024, classes)
        self._initialise()

    def get_classifier(self) -> nn.Linear:
        return self.head

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) to the output of module 5b, (B, 1024, S/32, S/32)."""
        return self.forward_stages(x)[-1]

    def forward_stages(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, H, W) to the last maps at strides 8, 16 and 32: (B, 320, …), (B, 576, …), (B, 1024, …)."""
        x = functional.max_pool2d(self.conv1(x), 3, 2, 1)
        x = functional.max_pool2d(self.conv2(x), 3, 2, 1)
        fine = self.mod3b(self.mod3a(x))
        middle = self.mod4d(self.mod4c(self.mod4b(self.mod4a(self.mod3c(fine)))))
        return [fine, middle, self.mod5b(self.mod5a(self.mod4e(middle)))]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.head(self.forward_features(x).mean((2, 3))))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
