"""Networks of our own that learn small pictures on a processor. Next: `bn_inception`, the larger one of our own."""

from typing import cast

import torch
from torch import nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; He et al. 2015, "Deep Residual Learning", section 3.3."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.skipped = 0.0  # share of training examples that take the shortcut alone
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner: torch.Tensor = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.training and self.skipped:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.skipped
            inner = inner * kept / (1 - self.skipped)
        return functional.relu(inner + cast(torch.Tensor, self.shortcut(x)))


def with_stochastic_depth(network: nn.Module, rate: float) -> nn.Module:
    """The same network; in training its last block is skipped at `rate`, the first never (Huang et al. 2016)."""
    blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
    for place, block in enumerate(blocks):
        block.skipped = rate * place / max(1, len(blocks) - 1)
    return network


class EdgeStem(nn.Module):
    """Images (B, 3, H, W) to (B, edges + plain, H/stride, W/stride). Both polarities of an edge are the same to it.

    Few pictures cannot teach a network that light and colours differ from one to the next. So the edges' filters answer
    to no even surface, as their weights have a mean of 0, lose their sign and are measured by the picture's mean edge;
    Jarrett et al. 2009, "What is the Best Multi-Stage Architecture for Object Recognition?", found this to matter most
    with few labels. The plain filters keep the colours.
    """

    def __init__(self, edges: int, plain: int, size: int = 3, stride: int = 2) -> None:
        super().__init__()
        self.edges = nn.Conv2d(3, edges, size, stride, size // 2, bias=False)
        self.plain = nn.Conv2d(3, plain, size, stride, size // 2, bias=False)
        self.edges_norm = nn.BatchNorm2d(edges)
        self.plain_norm = nn.BatchNorm2d(plain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.edges.weight - self.edges.weight.mean((2, 3), keepdim=True)
        found = functional.conv2d(x, weights, stride=self.plain.stride, padding=self.plain.padding).abs()
        found = found / (found.mean((1, 2, 3), keepdim=True) + 1e-3)
        return torch.cat([self.edges_norm(found), functional.relu(self.plain_norm(self.plain(x)))], 1)


class TinyResNet(nn.Module):
    """Images (B, 3, S, S), S of at least 16, to logits (B, classes). 0.3 million parameters, 8x downsampling.

    The head is given the mean and the maximum of each map: what fills a part of the picture is not lost in the mean.
    """

    ends_of_stages = ("stem", "stage1", "stage2", "stage3")

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = EdgeStem(24, 8)
        self.stage1 = ResidualBlock(32, 32, 1)
        self.stage2 = ResidualBlock(32, 64, 2)
        self.stage3 = ResidualBlock(64, 128, 2)
        self.head = nn.Linear(2 * 128, classes)
        nn.init.normal_(self.head.weight, std=0.01)  # maxima are large: a concept that comes later says little at first

    def get_classifier(self) -> nn.Linear:
        return self.head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.stage3(self.stage2(self.stage1(self.stem(x))))
        features = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)
        return cast(torch.Tensor, self.head(features))


class Cifar10Cnn(nn.Module):
    """Images (B, 3, S, S), S of at least 8, to logits (B, classes): three convolutions with pooling, two dense layers.

    After the network of the CIFAR-10 tutorials that the template is named for (Krizhevsky's cuda-convnet "quick").
    """

    ends_of_stages = ("conv1", "conv2", "conv3", "dense")

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, 1, 2)
        self.conv2 = nn.Conv2d(32, 32, 5, 1, 2)
        self.conv3 = nn.Conv2d(32, 64, 5, 1, 2)
        self.dense = nn.Linear(64 * 4 * 4, 64)
        self.head = nn.Linear(64, classes)

    def get_classifier(self) -> nn.Linear:
        return self.head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.avg_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.avg_pool2d(functional.relu(self.conv3(x)), 2)
        x = _pooled_to(x, 4).flatten(1)
        return cast(torch.Tensor, self.head(functional.relu(self.dense(x))))


def _pooled_to(x: torch.Tensor, side: int) -> torch.Tensor:
    """(B, C, H, W) to (B, C, side, side) by averaging, so that any picture size fits the dense layer.

    Written as a product with a constant matrix: the backward pass of adaptive pooling is not deterministic everywhere.
    """
    if x.shape[2:] == (side, side):
        return x
    rows, columns = (_averaging(length, side, x) for length in x.shape[2:])
    return rows @ x @ columns.T


def _averaging(length: int, side: int, like: torch.Tensor) -> torch.Tensor:
    identity = torch.eye(length, dtype=like.dtype, device=like.device).unsqueeze(0)
    return functional.adaptive_avg_pool1d(identity, side)[0].T
