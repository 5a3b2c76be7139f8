"""Random changes to whole batches of training pictures. Next: `colours`, `random_augment`.

Every draw comes from the generator given, on the CPU, so a step's pictures depend on its seed alone.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from luthier.catalog.plan import ImagePlan, PicturePlan
from luthier.engine.colours import jitter, within
from luthier.engine.random_augment import random_augment

Tensor = torch.Tensor


def augment(images: Tensor, plan: ImagePlan, generator: torch.Generator) -> Tensor:
    """uint8 (B, 3, S, S) to the same, changed as the plan says; float32 where values are computed."""
    images = flip(images, plan, generator)
    images = move(images, plan, generator)
    if plan.random_augment:
        images = random_augment(images, plan.random_augment, generator)
    images = jitter(images, plan, generator)
    return erase(images, plan, generator) if plan.erase_probability else images


def flip(images: Tensor, plan: ImagePlan, generator: torch.Generator) -> Tensor:
    if plan.flip_probability == 0:
        return images
    chosen = torch.rand(len(images), generator=generator) < plan.flip_probability
    axis = -1 if plan.flip_direction == "horizontal" else -2
    return torch.where(chosen.to(images.device).view(-1, 1, 1, 1), images.flip(axis), images)


def move(images: Tensor, plan: ImagePlan, generator: torch.Generator) -> Tensor:
    """Random resized crop, shift and rotation as one resampling; uncovered edges repeat the border."""
    if plan.crop_scale_min >= 1 and plan.shift_fraction == 0 and plan.rotate_degrees == 0:
        return images
    count = len(images)
    area = plan.crop_scale_min + (1 - plan.crop_scale_min) * torch.rand(count, generator=generator)
    low, high = math.log(3 / 4), math.log(4 / 3)
    ratio = torch.exp(low + (high - low) * torch.rand(count, generator=generator)).sqrt()
    if plan.crop_scale_min >= 1:
        ratio = torch.ones(count)
    width, height = (area.sqrt() * ratio).clamp(max=1), (area.sqrt() / ratio).clamp(max=1)
    shift = 2 * plan.shift_fraction
    x = within((count,), generator) * (1 - width + shift)
    y = within((count,), generator) * (1 - height + shift)
    angle = within((count,), generator) * math.radians(plan.rotate_degrees)
    return resample(images, affine(angle, width, height, x, y))


def affine(angle: Tensor, width: Tensor, height: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(B, 2, 3) matrices from output to input coordinates, both in -1..1: scale, then rotate, then shift."""
    cosine, sine = angle.cos(), angle.sin()
    rows = [torch.stack([cosine * width, -sine * height, x], 1), torch.stack([sine * width, cosine * height, y], 1)]
    return torch.stack(rows, 1)


def resample(images: Tensor, matrices: Tensor) -> Tensor:
    """Bilinear, to float32 0..255 of the same shape."""
    grid = functional.affine_grid(matrices.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def erase(images: Tensor, plan: ImagePlan, generator: torch.Generator) -> Tensor:
    """Random erasing (Zhong et al. 2017): a rectangle of 2 % to 33 % of the area becomes the mean colour."""
    count = len(images)
    chosen = torch.rand(count, generator=generator) < plan.erase_probability
    area = 0.02 + 0.31 * torch.rand(count, generator=generator)
    ratio = torch.exp(within((count,), generator) * math.log(1 / 0.3)).sqrt()
    masks = _rectangles(images.shape, area.sqrt() * ratio, area.sqrt() / ratio, generator)
    masks = (masks & chosen.view(-1, 1, 1, 1)).to(images.device)
    colour = torch.tensor(plan.mean, device=images.device).view(1, 3, 1, 1) * 255
    return torch.where(masks, colour.to(images.dtype), images)


@dataclass(frozen=True)
class Mixing:
    """How a batch is mixed with itself in reverse order: by pasting where `mask` (1, 1, H, W), else by blending.

    `share` is how much of each picture stays.
    """

    share: float
    mask: Tensor | None = None

    def of(self, images: Tensor) -> Tensor:
        if self.mask is not None:
            return torch.where(self.mask.to(images.device), images.flip(0), images)
        return images.float() * self.share + images.float().flip(0) * (1 - self.share)


def mixing(images: Tensor, plan: PicturePlan, generator: torch.Generator) -> Mixing | None:
    """Mixup (Zhang et al. 2017) or CutMix (Yun et al. 2019) as the plan says; for both, either, evenly."""
    if len(images) < 2 or (plan.mixup_alpha == 0 and plan.cutmix_alpha == 0):
        return None
    cut = plan.cutmix_alpha > 0 and (plan.mixup_alpha == 0 or float(torch.rand((), generator=generator)) < 0.5)
    share = _beta(plan.cutmix_alpha if cut else plan.mixup_alpha, generator)
    if not cut:
        return Mixing(share)
    side = torch.full((1,), math.sqrt(1 - share))
    mask = _rectangles(torch.Size((1, *images.shape[1:])), side, side, generator)
    return Mixing(1 - float(mask.float().mean()), mask)


def mix(images: Tensor, targets: Tensor, plan: PicturePlan, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures and their targets (B, C), mixed alike."""
    drawn = mixing(images, plan, generator)
    if drawn is None:
        return images, targets
    return drawn.of(images), targets * drawn.share + targets.flip(0) * (1 - drawn.share)


def _rectangles(shape: torch.Size, width: Tensor, height: Tensor, generator: torch.Generator) -> Tensor:
    """Masks (B, 1, H, W) of rectangles with sides as shares of the picture, anywhere inside it."""
    masks = []
    for sides, length in ((height, shape[2]), (width, shape[3])):
        size = (sides.clamp(0, 1) * length).round()
        start = (torch.rand(len(sides), generator=generator) * (length - size + 1)).floor()
        places = torch.arange(length).view(1, -1)
        masks.append((places >= start.view(-1, 1)) & (places < (start + size).view(-1, 1)))
    return (masks[0].unsqueeze(2) & masks[1].unsqueeze(1)).unsqueeze(1)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """A draw from Beta(alpha, alpha), by way of two gamma draws."""
    concentrations = torch.full((2,), alpha, dtype=torch.float64)
    first, second = torch._standard_gamma(concentrations, generator=generator).tolist()
    return float(first / (first + second)) if first + second > 0 else 0.5
