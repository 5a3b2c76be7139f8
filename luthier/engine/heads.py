"""What maps a backbone's features to concepts, with hidden layers where a plan asks for them. Next: `backbones`."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from luthier.engine.backbones import head_of


class Head(nn.Linear):
    """Features (B, inputs) to logits (B, classes), by way of hidden layers and dropout.

    Without hidden layers its tensors are those of a plain linear layer, so either can be gone on from as the other.
    """

    def __init__(self, inputs: int, classes: int, hidden_layers: int, hidden_width: int, dropout: float) -> None:
        super().__init__(hidden_width if hidden_layers else inputs, classes)
        self.hidden = hidden(inputs, hidden_layers, hidden_width)
        self.dropout = dropout

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.dropout(self.hidden(features), self.dropout, self.training))


def hidden(inputs: int, layers: int, width: int) -> nn.Sequential:
    """`layers` linear layers, each with a ReLU after it; none at all for 0."""
    widths = [inputs, *[width] * layers]
    return nn.Sequential(*(nn.Sequential(nn.Linear(*pair), nn.ReLU()) for pair in pairwise(widths)))


def with_head(network: nn.Module, hidden_layers: int, hidden_width: int, dropout: float) -> nn.Module:
    """The same network, its linear head replaced where the plan wants more of it; its name stays."""
    linear = head_of(network)
    if not (hidden_layers or dropout) or not isinstance(linear, nn.Linear):
        return network
    head = Head(linear.in_features, linear.out_features, hidden_layers, hidden_width, dropout)
    name = next(name for name, module in network.named_modules() if module is linear)
    network.set_submodule(name, head)
    return network
