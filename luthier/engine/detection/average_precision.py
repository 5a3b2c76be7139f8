"""mAP as COCO defines it: area under precision over recall at 101 points, overlaps 0.50 to 0.95. numpy only.

Lin et al. 2014, "Microsoft COCO", and its evaluation: boxes take objects greedily by value, each object is found once.
A test holds it to pycocotools. All boxes of an answer count, where COCO stops at 100 of a concept in a picture.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


@dataclass
class ConceptRecord:
    """All that was proposed for one concept: values, and at each overlap whether it found an object."""

    values: list[Array] = field(default_factory=list)
    hits: list[Array] = field(default_factory=list)  # (overlaps, proposed) booleans each
    objects: int = 0

    def add(self, found: Array, values: Array, truth: Array) -> None:
        """Of one picture: boxes found (N, 4), best first, with their values, and those that are labelled (M, 4)."""
        self.objects += len(truth)
        if len(found):
            self.values.append(values)
            self.hits.append(matched(overlaps(found, truth)))

    @property
    def proposed(self) -> int:
        return sum(len(values) for values in self.values)

    def average_precisions(self) -> Array | None:
        """(overlaps,), or None where no picture has the concept."""
        if not self.objects:
            return None
        if not self.values:
            return np.zeros(len(OVERLAPS))
        order = np.argsort(-np.concatenate(self.values), kind="stable")
        hits = np.concatenate(self.hits, axis=1)[:, order]
        right = hits.cumsum(1)
        precision = right / np.arange(1, hits.shape[1] + 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = right / self.objects
        return np.array([_at_recalls(recall[row], precision[row]) for row in range(len(OVERLAPS))])


def overlaps(found: Array, truth: Array) -> Array:
    """IoU of each pair, (N, M)."""
    low = np.maximum(found[:, None, :2], truth[None, :, :2])
    high = np.minimum(found[:, None, 2:], truth[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    area = (found[:, 2:] - found[:, :2]).prod(-1)[:, None] + (truth[:, 2:] - truth[:, :2]).prod(-1)[None]
    whole: Array = area - shared
    return np.where(whole > 0, shared / np.where(whole > 0, whole, 1), 0.0)


def matched(overlap: Array) -> Array:
    """(overlaps, N): whether each box, best first, finds an object that none before it has found."""
    hits = np.zeros((len(OVERLAPS), overlap.shape[0]), dtype=bool)
    near = np.flatnonzero((overlap >= OVERLAPS[0]).any(1))  # most boxes are not near any object: no need to ask them
    for row, least in enumerate(OVERLAPS):
        free = np.ones(overlap.shape[1], dtype=bool)
        for box in near:
            candidates = np.where(free, overlap[box], -1.0)
            best = int(candidates.argmax())
            if candidates[best] >= min(least, 1 - 1e-10):
                hits[row, box], free[best] = True, False
    return hits


def _at_recalls(recall: Array, precision: Array) -> float:
    places = np.searchsorted(recall, RECALLS, side="left")
    inside = places < len(precision)
    return float(precision[places[inside]].sum() / len(RECALLS))
