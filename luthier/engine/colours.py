"""Colours of pictures: the scale that networks take them at, and random changes, which move nothing.

Next: `random_augment`, whose changes are stronger.
"""

import math
from collections.abc import Sequence

import torch

from luthier.catalog.plan import PicturePlan
from luthier.engine.random_augment import COLOUR_OPERATIONS, random_augment

Tensor = torch.Tensor
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))  # of RGB; rows are luma and chroma


def normalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 or float 0..255 (B, 3, H, W) to what a network takes, float32, channels innermost.

    `mean` and `std` are of each channel, in the range 0..1.
    """
    middle, spread = (torch.tensor(one, device=images.device).view(1, 3, 1, 1) * 255 for one in (mean, std))
    return ((images.float() - middle) / spread).contiguous(memory_format=torch.channels_last)


def repaint(images: Tensor, plan: PicturePlan, generator: torch.Generator) -> Tensor:
    """All that the plan does to colours, for pictures whose parts are labelled: of RandAugment what moves nothing."""
    if plan.random_augment:
        images = random_augment(images, plan.random_augment, generator, COLOUR_OPERATIONS)
    return jitter(images, plan, generator)


def jitter(images: Tensor, plan: PicturePlan, generator: torch.Generator) -> Tensor:
    """(B, 3, H, W) in 0..255; each of brightness, contrast and saturation by a factor around 1, the hue by an angle."""
    amounts = [plan.color_jitter + plan.brightness_jitter, plan.color_jitter + plan.contrast_jitter, plan.color_jitter]
    if any(amounts):
        factors = (1 + torch.tensor(amounts).view(3, 1) * within((3, len(images)), generator)).clamp(min=0)
        images = _graded(images.float(), factors.to(images.device).view(3, -1, 1, 1, 1))
    if plan.hue_jitter:
        angles = 2 * math.pi * plan.hue_jitter * within((len(images),), generator)
        images = turned(images.float(), angles.to(images.device))
    return images


def _graded(images: Tensor, factors: Tensor) -> Tensor:
    images = images * factors[0]
    middle = grey(images).mean((2, 3), keepdim=True)
    images = middle + (images - middle) * factors[1]
    shade = grey(images)
    return (shade + (images - shade) * factors[2]).clamp(0, 255)


def turned(images: Tensor, angles: Tensor) -> Tensor:
    """The hue turned by `angles` (B,), radians: a rotation of the chroma in YIQ, which leaves greys and luma alone."""
    to_yiq = torch.tensor(YIQ, device=images.device)
    one, zero, cosine, sine = torch.ones_like(angles), torch.zeros_like(angles), angles.cos(), angles.sin()
    rows = [(one, zero, zero), (zero, cosine, -sine), (zero, sine, cosine)]
    rotation = torch.stack([torch.stack(row, 1) for row in rows], 1)
    matrices = torch.linalg.inv(to_yiq) @ rotation @ to_yiq
    colours: Tensor = matrices @ images.flatten(2)
    return colours.view_as(images).clamp(0, 255)


def grey(images: Tensor) -> Tensor:
    """Luma of (B, 3, H, W), ITU-R 601, as (B, 1, H, W)."""
    weights = torch.tensor(YIQ[0], device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def within(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Evenly from -1 to 1."""
    return torch.rand(shape, generator=generator) * 2 - 1
