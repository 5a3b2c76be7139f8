"""Convolutions over maps so small that a part of the kernel meets nothing but padding."""

import copy

import pytest
import torch
from torch import nn

from luthier.engine.devices import Device
from luthier.engine.small_maps import GuardedConv2d, guard

CASES = [  # size of the maps, kernel, stride, padding; then whether a part of the kernel meets no pixel
    ((8, 1), 3, 2, 1, True),
    ((1, 8), 5, 1, 2, True),
    ((4, 4), 3, 4, 1, True),
    ((1, 1), 3, 1, "same", True),
    ((4, 4), 3, 2, 1, False),
    ((8, 8), 7, 2, 3, False),
    ((2, 2), 3, 1, "same", False),
    ((3, 3), 3, 1, "valid", False),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "small"), CASES)
def test_gradients_are_those_of_float32_in_bfloat16_too(
    size: tuple[int, int], kernel: int, stride: int, padding: int | str, small: bool
) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(16, 32, kernel, stride, padding)).to(memory_format=torch.channels_last)
    guarded = copy.deepcopy(plain)
    guard(guarded)
    images = torch.randn(4, 16, *size).contiguous(memory_format=torch.channels_last)
    plain(images).pow(2).mean().backward()
    with torch.autocast("cpu", torch.bfloat16):
        answers = guarded(images)
    assert answers.dtype == (torch.float32 if small else torch.bfloat16)
    answers.float().pow(2).mean().backward()
    torch.testing.assert_close(guarded[0].weight.grad, plain[0].weight.grad, atol=0.02, rtol=0.02)


@pytest.mark.parametrize(("precision", "guards"), [("bfloat16", True), ("float32", False)])
def test_a_network_is_guarded_where_a_processor_computes_in_bfloat16(precision: str, guards: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    names = list(network.state_dict())
    placed = Device(torch.device("cpu"), "cpu", precision, 1).placed(network)
    assert isinstance(placed[0], GuardedConv2d) == guards  # type: ignore[index]
    assert list(placed.state_dict()) == names
