"""Mixup and CutMix for pictures whose parts are labelled: boxes and classes go with their pixels. Next: `augment.mix`.

Both mix a batch with itself in reverse order.
"""

import torch

from luthier.catalog.plan import RegionPlan
from luthier.engine.augment import mixing

Tensor = torch.Tensor
Batch = dict[str, Tensor]
LEAST_LEFT = 1 / 3  # of a box's area; of less, nobody would say what it shows
LEAST_SIDE = 2.0  # pixels


def mixed_boxes(batch: Batch, plan: RegionPlan, generator: torch.Generator) -> Batch:
    """A batch as `recipes/object_detection` has it, to the same with the boxes of both pictures.

    A blend shows both whole (Zhang et al. 2019, "Bag of Freebies for Training Object Detection Neural Networks").
    """
    drawn = mixing(batch["images"], plan, generator)
    if drawn is None:
        return batch
    concepts = torch.cat([batch["concepts"], batch["concepts"].flip(0)], 1)
    boxes = torch.cat([batch["boxes"], batch["boxes"].flip(0)], 1)
    if drawn.mask is not None:
        boxes, concepts = _cut(boxes, concepts, batch["boxes"].shape[1], _rectangle_of(drawn.mask).to(boxes))
    return {
        **batch,
        "images": drawn.of(batch["images"]),
        "boxes": boxes,
        "concepts": concepts,
        "sizes": torch.maximum(batch["sizes"], batch["sizes"].flip(0)),
    }


def mixed_classes(batch: Batch, plan: RegionPlan, generator: torch.Generator) -> Batch:
    """A batch as `recipes/semantic_segmentation` has it. CutMix pastes classes with pixels (French et al. 2020); where
    pictures are blended, "others" are the second one's classes and "shares", (B,), how much the first one counts."""
    drawn = mixing(batch["images"], plan, generator)
    if drawn is None:
        return batch
    images, classes = drawn.of(batch["images"]), batch["classes"]
    if drawn.mask is not None:
        pasted = torch.where(drawn.mask[:, 0].to(classes.device), classes.flip(0), classes)
        return {**batch, "images": images, "classes": pasted}
    shares = torch.full((len(images),), drawn.share, device=images.device)
    return {**batch, "images": images, "others": classes.flip(0), "shares": shares}


def _cut(boxes: Tensor, concepts: Tensor, own: int, rectangle: Tensor) -> tuple[Tensor, Tensor]:
    """The first `own` boxes lose what lies in the rectangle, the others what lies outside it."""
    inside = torch.cat([torch.maximum(boxes[..., :2], rectangle[:2]), torch.minimum(boxes[..., 2:], rectangle[2:])], -1)
    sides = (inside[..., 2:] - inside[..., :2]).clamp(min=0)
    whole = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    covered = sides.prod(-1) / whole.clamp(min=1e-6)
    pasted = torch.arange(boxes.shape[1], device=boxes.device) >= own
    left = torch.where(pasted, covered, 1 - covered)
    kept = (left >= LEAST_LEFT) & (~pasted | (sides.amin(-1) >= LEAST_SIDE))
    boxes = torch.where((pasted & kept).unsqueeze(-1), inside, boxes)
    return boxes, torch.where(kept, concepts, -1)


def _rectangle_of(mask: Tensor) -> Tensor:
    """Left, top, right, bottom of the one rectangle in (1, 1, H, W); nothing at all where it is empty."""
    rows, columns = mask[0, 0].any(1).nonzero().flatten(), mask[0, 0].any(0).nonzero().flatten()
    if not len(rows) or not len(columns):
        return torch.zeros(4)
    return torch.tensor([int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1])
