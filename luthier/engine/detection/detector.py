"""Detector: what every network that finds boxes offers to the recipe, and the words that they share.

Boxes are left, top, right, bottom in pixels of the picture as the network sees it. Next: `tiny` for a small example.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from luthier.engine.rows import Rows

Tensor = torch.Tensor


@dataclass(frozen=True)
class Target:
    """The objects of one picture."""

    boxes: Tensor  # (objects, 4)
    concepts: Tensor  # (objects,), places in the run's list of concepts


@dataclass(frozen=True)
class Found:
    """What was found in one picture, best first."""

    boxes: Tensor  # (found, 4)
    values: Tensor  # (found,), 0..1
    concepts: Tensor  # (found,)


@dataclass(frozen=True)
class Choice:
    """How boxes are chosen from all that a network proposes."""

    least_value: float = 0.02
    overlap: float = 0.6  # of two boxes of one concept that overlap more (IoU), the better stays
    candidates: int = 1000  # looked at per picture
    most: int = 300  # boxes in the end


class Detector(nn.Module):
    """`classes` concepts; the background is the network's own affair."""

    classes: int
    choice: Choice

    def get_classifier(self) -> nn.Module:
        """All that pre-trained weights do not bring: the head, in the words of the other networks."""
        raise NotImplementedError

    def loss(self, images: Tensor, targets: list[Target]) -> Tensor:
        """A scalar, the mean over the pictures (B, 3, H, W), which are normalised."""
        raise NotImplementedError

    def detect(self, images: Tensor, sizes: list[tuple[int, int]]) -> list[Found]:
        """`sizes`: height and width of each picture within the batch; what lies beyond is padding."""
        raise NotImplementedError

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        """By name of the tensor, for a head of `classes` concepts: the tensors whose shape depends on that number."""
        raise NotImplementedError


def choose(boxes: Tensor, values: Tensor, size: tuple[int, int], choice: Choice) -> Found:
    """From boxes (N, 4) or (N, C, 4) with a value per concept, (N, C): the best of each heap, at most `choice.most`."""
    number, classes = values.shape
    flat = values.reshape(-1)
    kept = (flat > choice.least_value).nonzero().flatten()
    if len(kept) > choice.candidates:
        kept = kept[flat[kept].topk(choice.candidates).indices]
    concepts = kept % classes
    if boxes.ndim == 2:
        boxes = boxes.unsqueeze(1).expand(number, classes, 4)
    chosen = clip_boxes_to_image(boxes.reshape(-1, 4)[kept].float(), size)
    large = remove_small_boxes(chosen, 1.0)
    chosen, concepts, scores = chosen[large], concepts[large], flat[kept][large].float()
    best = batched_nms(chosen, scores, concepts, choice.overlap)[: choice.most]
    return Found(chosen[best], scores[best], concepts[best])
