"""How good anomaly scores and maps are: image AUROC, pixel AUROC, PRO. Next: `recipes/anomaly_heatmap`.

Pixels are counted by their score in fine bins as they come, so no split is ever held whole.
"""

from typing import Any

import numpy as np
import torch
from scipy import ndimage

from luthier.engine.metrics import roc_auc
from luthier.engine.recipe import Batch, Scores

Array = np.ndarray[Any, Any]
UNKNOWN = 255  # of a mask: nothing says whether the pixel is anomalous
DROPPED_BITS = 12  # of a float's 32; what is left tells scores apart to 1 in 2048
BINS = 1 << (31 - DROPPED_BITS)
CORNERS_CONNECT = np.ones((3, 3))
LARGEST_FALSE = 0.3  # share of good pixels that are taken for anomalous, up to which PRO looks


class AnomalyJudge:
    """`places` are the positions of the concepts that are not good among all `concepts`."""

    def __init__(self, concepts: list[str], places: list[int]) -> None:
        self.concepts, self.places = concepts, places
        self.scores_seen: list[Array] = []
        self.values_seen: list[Array] = []
        self.anomalous: list[Array] = []
        self.carries: list[Array] = []
        self.pixels = PixelCounts()

    def add(self, predicted: Batch, batch: Batch) -> None:
        self.scores_seen.append(predicted["scores"].numpy())
        self.values_seen.append(predicted["values"].numpy())
        self.anomalous.append(batch["anomalous"].numpy().astype(bool))
        self.carries.append(batch["carries"].numpy().astype(bool))
        for scores, mask in zip(predicted["maps"], batch["masks"], strict=True):
            if mask[0, 0] != UNKNOWN:  # a mask is known as a whole or not at all
                self.pixels.add(scores, mask > 0)

    def scores(self) -> Scores:
        if not self.scores_seen:
            return Scores({}, [], (0.0,))
        scores, truth = np.concatenate(self.scores_seen), np.concatenate(self.anomalous)
        found = np.concatenate(self.values_seen) >= 0.5
        carries = np.concatenate(self.carries)
        values = {
            "image_auroc": roc_auc(scores, truth),
            "pixel_auroc": self.pixels.auroc(),
            "pro": self.pixels.pro(),
            "f1": float(2 * (found & truth).sum() / (found.sum() + truth.sum())) if truth.any() else None,
            "false_alarms": float(found[~truth].mean()) if not truth.all() else None,
            "good_score": float(scores[~truth].mean()) if not truth.all() else None,
        }
        metrics = {name: value for name, value in values.items() if value is not None}
        rows = [self._row(place, scores, truth, carries[:, place]) for place in self.places]
        rank = (metrics.get("image_auroc", 0.0), metrics.get("pixel_auroc", 0.0), -metrics.get("good_score", 0.0))
        return Scores(metrics, rows, rank)

    def _row(self, place: int, scores: Array, truth: Array, mine: Array) -> dict[str, Any]:
        """One kind of anomaly against the good pictures; None where there are none of them."""
        asked = ~truth | mine
        return {
            "id": self.concepts[place],
            "image_auroc": roc_auc(scores[asked], mine[asked]),
            "support": int(mine.sum()),
        }


class PixelCounts:
    """Good and anomalous pixels by their score, and of each anomalous region the share of its pixels."""

    def __init__(self) -> None:
        self.good = np.zeros(BINS, dtype=np.int64)
        self.anomalous = np.zeros(BINS, dtype=np.int64)
        self.shares = np.zeros(BINS)  # of all regions together: each adds up to 1
        self.regions = 0

    def add(self, scores: torch.Tensor, inside: torch.Tensor) -> None:
        """Scores of at least 0, (H, W); `inside`, booleans (H, W), where the picture is anomalous."""
        bins = scores.float().clamp(min=0).contiguous().view(torch.int32).numpy() >> DROPPED_BITS
        truth = inside.numpy()
        self.good += np.bincount(bins[~truth], minlength=BINS)
        if not truth.any():
            return
        self.anomalous += np.bincount(bins[truth], minlength=BINS)
        numbers, count = ndimage.label(truth, CORNERS_CONNECT)
        sizes = np.bincount(numbers[truth])
        self.shares += np.bincount(bins[truth], weights=1 / sizes[numbers[truth]], minlength=BINS)
        self.regions += count

    def auroc(self) -> float | None:
        if not self.good.sum() or not self.anomalous.sum():
            return None
        return float(np.trapezoid(_from_above(self.anomalous), _from_above(self.good)))

    def pro(self) -> float | None:
        """Mean share of a region that is found, over false alarms up to LARGEST_FALSE (Bergmann et al. 2021)."""
        if not self.good.sum() or not self.regions:
            return None
        false, found = _from_above(self.good), _from_above(self.shares)
        inside = false <= LARGEST_FALSE
        x = np.append(false[inside], LARGEST_FALSE)
        y = np.append(found[inside], np.interp(LARGEST_FALSE, false, found))
        return float(np.trapezoid(y, x) / LARGEST_FALSE)


def _from_above(counts: Array) -> Array:
    """Share of all that lies in a bin or above it, from none to all."""
    summed = np.cumsum(counts[::-1], dtype=np.float64)
    return np.concatenate([[0.0], summed / summed[-1]])
