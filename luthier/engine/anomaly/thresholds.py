"""From raw scores to values 0..1: a threshold, which becomes 0.5, and how steeply values rise around it. numpy only.

Next: `recipes/anomaly_heatmap`, which asks once an epoch.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
TYPICAL = 0.1  # the value of a good picture in the middle
LEAST_STEEP, STEEPEST = 1.0, 40.0


@dataclass(frozen=True)
class Limit:
    """`value = 1 / (1 + (threshold / score) ** steepness)`, which rises strictly with the score."""

    threshold: float
    steepness: float
    why: str


def limit_of(good: Array, bad: Array, quantile: float) -> Limit:
    """The threshold that tells good scores from bad ones best by F1, else that `quantile` of good ones lie below.

    The median of the good scores gets the value TYPICAL as far as the bounds of the steepness allow.
    """
    if len(bad):
        threshold, f1 = _best_cut(good, bad)
        why = f"it tells {len(good)} good ones from {len(bad)} anomalous ones best (F1 {f1:.3f})"
    else:
        threshold = float(np.quantile(good, quantile))
        why = f"no anomalies are labelled there, so it is the quantile {quantile:g} of {len(good)} good ones"
    threshold = max(threshold, 1e-12)
    ratio = threshold / max(float(np.median(good)), 1e-12) if len(good) else 2.0
    steepness = math.log(1 / TYPICAL - 1) / math.log(ratio) if ratio > 1 else STEEPEST
    return Limit(threshold, min(max(steepness, LEAST_STEEP), STEEPEST), why)


def _best_cut(good: Array, bad: Array) -> tuple[float, float]:
    """The threshold with the largest F1 of the anomalies, in the middle between two scores; and that F1."""
    scores = np.concatenate([good, bad]).astype(np.float64)
    truth = np.concatenate([np.zeros(len(good), dtype=bool), np.ones(len(bad), dtype=bool)])
    levels, place = np.unique(scores, return_inverse=True)
    cuts = np.concatenate([levels[:1], (levels[1:] + levels[:-1]) / 2])
    found, right = (np.bincount(one, minlength=len(levels))[::-1].cumsum()[::-1] for one in (place, place[truth]))
    f1 = 2 * right / (found + len(bad))
    best = int(np.flatnonzero(f1 == f1.max())[-1])
    return float(cuts[best]), float(f1[best])
