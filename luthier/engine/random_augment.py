"""RandAugment (Cubuk et al. 2019) on batches: two operations per picture, from the lists at the end."""

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

Tensor = torch.Tensor
Operation = Callable[[Tensor, Tensor], Tensor]  # float32 0..255 (B, 3, S, S), strengths -1..1 (B,) -> the same shape

OPERATIONS_PER_PICTURE = 2
STRONGEST = 10


def random_augment(
    images: Tensor, magnitude: int, generator: torch.Generator, operations: Sequence[Operation] | None = None
) -> Tensor:
    """uint8 or float (B, 3, H, W) to float32 0..255. `magnitude` is 1 to 10; the sign of each strength is drawn.

    `operations`: those to choose from, else OPERATIONS.
    """
    operations = operations or OPERATIONS
    images = images.float()
    for _ in range(OPERATIONS_PER_PICTURE):
        chosen = torch.randint(len(operations), (len(images),), generator=generator)
        signs = torch.randint(2, (len(images),), generator=generator) * 2 - 1
        strengths = (signs * min(magnitude, STRONGEST) / STRONGEST).float()
        changed = images.clone()
        for number, operation in enumerate(operations):
            places = (chosen == number).nonzero().flatten()
            if len(places):
                there = places.to(images.device)
                changed[there] = operation(images[there], strengths[places].to(images.device)).clamp(0, 255)
        images = changed
    return images


def _nothing(images: Tensor, strength: Tensor) -> Tensor:
    return images


def _brightness(images: Tensor, strength: Tensor) -> Tensor:
    return images * _factor(strength)


def _contrast(images: Tensor, strength: Tensor) -> Tensor:
    middle = images.mean((1, 2, 3), keepdim=True)
    return middle + (images - middle) * _factor(strength)


def _colour(images: Tensor, strength: Tensor) -> Tensor:
    shade = images.mean(1, keepdim=True)
    return shade + (images - shade) * _factor(strength)


def _sharpness(images: Tensor, strength: Tensor) -> Tensor:
    blurred = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return blurred + (images - blurred) * _factor(strength)


def _autocontrast(images: Tensor, strength: Tensor) -> Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) * 255 / (high - low).clamp(min=1), images)


def _invert_above(images: Tensor, strength: Tensor) -> Tensor:
    threshold = 256 * (1 - strength.abs()).view(-1, 1, 1, 1)
    return torch.where(images >= threshold, 255 - images, images)


def _posterize(images: Tensor, strength: Tensor) -> Tensor:
    step = 2 ** (strength.abs() * 4).round().view(-1, 1, 1, 1)
    return (images / step).floor() * step


def _rotate(images: Tensor, strength: Tensor) -> Tensor:
    angle = strength * math.radians(30)
    return _resampled(images, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def _shear_x(images: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _resampled(images, one, 0.3 * strength, zero, one)


def _shear_y(images: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _resampled(images, one, zero, 0.3 * strength, one)


def _shift_x(images: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _resampled(images, one, zero, zero, one, x=0.6 * strength)


def _shift_y(images: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _resampled(images, one, zero, zero, one, y=0.6 * strength)


def _factor(strength: Tensor) -> Tensor:
    return (1 + 0.9 * strength).view(-1, 1, 1, 1)


def _resampled(
    images: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, x: Tensor | None = None, y: Tensor | None = None
) -> Tensor:
    """Bilinear with the matrix [[a, b, x], [c, d, y]] from output to input coordinates in -1..1; outside: mid grey."""
    zero = torch.zeros_like(a)
    top, bottom = torch.stack([a, b, zero if x is None else x], 1), torch.stack([c, d, zero if y is None else y], 1)
    grid = functional.affine_grid(torch.stack([top, bottom], 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images - 128, grid, align_corners=False) + 128


COLOUR_OPERATIONS: tuple[Operation, ...] = (  # what moves nothing
    _nothing,
    _brightness,
    _contrast,
    _colour,
    _sharpness,
    _autocontrast,
    _invert_above,
    _posterize,
)
OPERATIONS: tuple[Operation, ...] = (
    *COLOUR_OPERATIONS,
    _rotate,
    _shear_x,
    _shear_y,
    _shift_x,
    _shift_y,
)
