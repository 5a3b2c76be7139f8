"""Random changes to pictures that carry boxes: mirror, scale, shift and mosaic, as one resampling. Next: `augment`.

Every draw comes from the generator given. A picture's boxes move with it; one of which less than a third stays in the
picture goes.
"""

import math

import torch
from torch.nn import functional

from luthier.catalog.plan import DetectionPlan, RegionPlan
from luthier.engine.colours import repaint

Tensor = torch.Tensor
Batch = dict[str, Tensor]
LEAST_LEFT = 1 / 3  # of a box's area
LEAST_SIDE = 2.0  # pixels


def moved(batch: Batch, plan: DetectionPlan, generator: torch.Generator) -> Batch:
    """A batch as `recipes/object_detection` has it, to the same.

    Images come back as float32, 0..255, where they were resampled or coloured.
    """
    if plan.mosaic_probability and len(batch["images"]) > 1:
        batch = _mosaic(batch, plan, generator)
    elif moves(plan):
        batch = _resampled(batch, *views(batch["sizes"], plan, generator))
    return {**batch, "images": repaint(batch["images"], plan, generator)}


def moves(plan: RegionPlan) -> bool:
    """Whether the plan moves pictures at all."""
    return bool(plan.flip_probability or plan.shift_fraction or (plan.scale_min, plan.scale_max) != (1, 1))


def views(sizes: Tensor, plan: RegionPlan, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Per picture a scale (B, 2), negative where mirrored, and where its origin comes to lie (B, 2), pixels."""
    sizes = sizes.float().cpu()
    count = len(sizes)
    low, high = math.log(plan.scale_min), math.log(plan.scale_max)
    scale = torch.exp(low + (high - low) * torch.rand(count, 1, generator=generator))
    free = sizes * (1 - scale)  # room around a smaller picture, overhang of a larger one
    origin = free * torch.rand(count, 2, generator=generator)
    origin = origin + plan.shift_fraction * sizes * (torch.rand(count, 2, generator=generator) * 2 - 1)
    mirrored = torch.rand(count, generator=generator) < plan.flip_probability
    axis = 0 if plan.flip_direction == "horizontal" else 1
    sign = torch.ones(count, 2)
    sign[mirrored, axis] = -1
    origin[mirrored, axis] += (scale * sizes)[mirrored, axis]
    return scale * sign, origin


def _resampled(batch: Batch, scale: Tensor, origin: Tensor) -> Batch:
    """Each point p of a picture comes to lie at scale x p + origin."""
    images = batch["images"]
    there = images.device
    scale, origin = scale.to(there), origin.to(there)
    images = _sampled(images, scale, origin, images.shape[2:])
    boxes, concepts = _boxes_after(batch["boxes"], batch["concepts"], scale, origin, images.shape[3], images.shape[2])
    size = torch.tensor([images.shape[3], images.shape[2]], device=there)
    return {**batch, "images": images, "boxes": boxes, "concepts": concepts, "sizes": size.expand(len(images), 2)}


def _sampled(images: Tensor, scale: Tensor, origin: Tensor, shape: tuple[int, int] | torch.Size) -> Tensor:
    """float32 (B, 3, *shape), bilinear; what lies outside a picture is mid grey."""
    grid = _grid(images.shape[2:], scale, origin, shape, images.device)
    return functional.grid_sample(images.float() - 128, grid, align_corners=False) + 128


def with_classes(images: Tensor, classes: Tensor, scale: Tensor, origin: Tensor, unknown: int) -> Batch:
    """Pictures and classes, uint8 (B, H, W), moved alike; a class is that of the nearest pixel, outside `unknown`."""
    grid = _grid(images.shape[2:], scale, origin, images.shape[2:], images.device)
    far = functional.grid_sample(classes.unsqueeze(1).float() - unknown, grid, mode="nearest", align_corners=False)
    moved_images = functional.grid_sample(images.float() - 128, grid, align_corners=False) + 128
    return {"images": moved_images, "classes": (far.squeeze(1) + unknown).round().to(torch.uint8)}


def _grid(
    old_shape: torch.Size, scale: Tensor, origin: Tensor, shape: tuple[int, int] | torch.Size, device: torch.device
) -> Tensor:
    """Where each pixel of the output comes from, (B, *shape, 2), in -1..1 of the source."""
    height, width = old_shape
    scale, origin = scale.to(device), origin.to(device)
    old = torch.tensor([width, height], device=device, dtype=torch.float32)
    new = torch.tensor([shape[1], shape[0]], device=device, dtype=torch.float32)
    # from output in -1..1 to pixels, to pixels of the source, to -1..1 of it
    factor = new / 2 / scale / (old / 2)
    shift = ((new / 2 - origin) / scale - old / 2) / (old / 2)
    zero = torch.zeros_like(factor[:, 0])
    top = torch.stack([factor[:, 0], zero, shift[:, 0]], 1)
    bottom = torch.stack([zero, factor[:, 1], shift[:, 1]], 1)
    return functional.affine_grid(torch.stack([top, bottom], 1), [len(scale), 3, *shape], align_corners=False)


def _boxes_after(
    boxes: Tensor, concepts: Tensor, scale: Tensor, origin: Tensor, width: int, height: int
) -> tuple[Tensor, Tensor]:
    factor, shift = scale.repeat(1, 2).unsqueeze(1), origin.repeat(1, 2).unsqueeze(1)
    placed = boxes * factor + shift
    placed = torch.cat(
        [torch.minimum(placed[..., :2], placed[..., 2:]), torch.maximum(placed[..., :2], placed[..., 2:])], -1
    )
    bounds = torch.tensor([width, height, width, height], device=boxes.device, dtype=boxes.dtype)
    clipped = torch.minimum(placed.clamp(min=0), bounds)
    sides = clipped[..., 2:] - clipped[..., :2]
    whole = (placed[..., 2:] - placed[..., :2]).prod(-1)
    kept = (sides.prod(-1) > LEAST_LEFT * whole) & (sides.amin(-1) >= LEAST_SIDE)
    return clipped, torch.where(kept, concepts, -1)


def _mosaic(batch: Batch, plan: DetectionPlan, generator: torch.Generator) -> Batch:
    """Four pictures around one point (Bochkovskiy et al. 2020), for a share of the batch; the others are only moved."""
    count, device = len(batch["images"]), batch["images"].device
    chosen = torch.rand(count, generator=generator) < plan.mosaic_probability
    orders = [torch.randperm(count, generator=generator)[chosen] for _ in range(4)]
    if not chosen.any():
        return _resampled(batch, *views(batch["sizes"], plan, generator))
    four = [{name: tensor[order.to(device)] for name, tensor in batch.items()} for order in orders]
    mosaics = _around_one_point(four, plan, generator)
    if chosen.all():
        return mosaics
    chosen = chosen.to(device)
    rest = {name: tensor[~chosen] for name, tensor in batch.items()}
    return _joined(chosen, mosaics, _resampled(rest, *views(rest["sizes"], plan, generator)))


def _around_one_point(parts: list[Batch], plan: DetectionPlan, generator: torch.Generator) -> Batch:
    """One batch of four, each picture of which gives a random window of its moved self for a quarter."""
    images = parts[0]["images"]
    count, (height, width) = len(images), images.shape[2:]
    middle_x = int(width * (0.35 + 0.3 * float(torch.rand((), generator=generator))))
    middle_y = int(height * (0.35 + 0.3 * float(torch.rand((), generator=generator))))
    quarters = ((0, 0, middle_x, middle_y), (middle_x, 0, width, middle_y),
                (0, middle_y, middle_x, height), (middle_x, middle_y, width, height))  # fmt: skip
    canvas = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    boxes, concepts = [], []
    for part, (left, top, right, bottom) in zip(parts, quarters, strict=True):
        scale, origin = views(part["sizes"], plan, generator)
        room = torch.tensor([width - (right - left), height - (bottom - top)], dtype=torch.float32)
        origin = origin - room * torch.rand(count, 2, generator=generator)
        scale, origin = scale.to(images.device), origin.to(images.device)
        canvas[:, :, top:bottom, left:right] = _sampled(part["images"], scale, origin, (bottom - top, right - left))
        inside, kept = _boxes_after(part["boxes"], part["concepts"], scale, origin, right - left, bottom - top)
        boxes.append(inside + torch.tensor([left, top, left, top], device=images.device))
        concepts.append(kept)
    size = torch.tensor([width, height], device=images.device).expand(count, 2)
    return {"images": canvas, "boxes": torch.cat(boxes, 1), "concepts": torch.cat(concepts, 1), "sizes": size}


def _joined(chosen: Tensor, first: Batch, second: Batch) -> Batch:
    """`first` where chosen, in order, `second` elsewhere, whose boxes are padded to as many."""
    missing = first["boxes"].shape[1] - second["boxes"].shape[1]
    second = {
        **second,
        "boxes": functional.pad(second["boxes"], (0, 0, 0, missing)),
        "concepts": functional.pad(second["concepts"], (0, missing), value=-1),
    }
    place = torch.where(chosen, chosen.cumsum(0) - 1, int(chosen.sum()) + (~chosen).cumsum(0) - 1)
    return {name: torch.cat([first[name], second[name]])[place] for name in second}
