"""Convolutions over maps so small that a part of the kernel meets nothing but padding.

The gradient of such a part is 0. In bfloat16 on a processor, oneDNN (3.x, as torch 2.15 brings it) never writes it, and
what lay in that memory, NaN at times, goes into the step. Those convolutions, a few cells each, run in float32 instead.
Next: `devices`, which guards a network as it places it.
"""

import functools

import torch
from torch import nn

Tensor = torch.Tensor


class GuardedConv2d(nn.Conv2d):
    """A Conv2d that leaves autocast where a part of its kernel meets no pixel."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self._reversed_padding_repeated_twice[2::-2]  # above and to the left, "same" and "valid" in numbers
        answer: Tensor
        if any(map(_misses, input.shape[2:], self.kernel_size, self.stride, padding, self.dilation)):
            with torch.autocast(input.device.type, enabled=False):
                answer = super()._conv_forward(input.to(weight.dtype), weight, bias)
        else:
            answer = super()._conv_forward(input, weight, bias)
        return answer


def guard(network: nn.Module) -> None:
    """Every plain Conv2d of the network becomes a guarded one, with its weights and hooks."""
    for module in network.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = GuardedConv2d


@functools.cache
def _misses(size: int, kernel: int, stride: int, padding: int, dilation: int) -> bool:
    """Whether some row (or column) of the kernel meets none of `size` rows of pixels."""
    last = size + 2 * padding - dilation * (kernel - 1) - 1  # where the last window may begin, counted from the padding
    windows = range(-padding, last - padding + 1, stride)
    return any(all(not 0 <= first + row * dilation < size for first in windows) for row in range(kernel))
