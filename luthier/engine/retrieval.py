"""How well vectors find their like: each example of a split asks all others for those that show the same. numpy only.

Recall@K: the share of examples among whose K nearest is one of their concept (Jégou et al. 2011). mAP@R: with R others
of the concept, the mean over the first R places of the precision there, where the place is right (Musgrave et al.
2020, "A Metric Learning Reality Check"). An example without another of its concept does not ask.
"""

from typing import Any

import numpy as np

from luthier.engine.recipe import Batch, Scores

Array = np.ndarray[Any, Any]
ROWS = 1024  # examples that are compared with all others at a time


class RetrievalJudge:
    """Keeps the vectors and labels."""

    def __init__(self, concepts: list[str]) -> None:
        self.concepts = concepts
        self.vectors: list[Array] = []
        self.labels: list[Array] = []

    def add(self, predicted: Batch, batch: Batch) -> None:
        self.vectors.append(predicted["vectors"].numpy())
        self.labels.append(batch["targets"].numpy() > 0.5)

    def scores(self) -> Scores:
        if not self.vectors:
            return Scores({}, [], (0.0,))
        vectors, labels = np.concatenate(self.vectors), np.concatenate(self.labels)
        found = _judged(vectors, labels)
        asked = found["asked"]
        rows = [self._row(place, id, found, labels) for place, id in enumerate(self.concepts)]
        if not asked.any():
            return Scores({}, rows, (0.0,))
        metrics = {name: float(found[name][asked].mean()) for name in ("recall_at_1", "recall_at_5", "map_at_r")}
        return Scores(metrics, rows, (metrics["recall_at_1"], metrics["map_at_r"]))

    def _row(self, place: int, id: str, found: dict[str, Array], labels: Array) -> dict[str, Any]:
        mine = labels[:, place] & found["asked"]
        value = float(found["recall_at_1"][mine].mean()) if mine.any() else None
        return {"id": id, "recall_at_1": value, "support": int(labels[:, place].sum())}


def _judged(vectors: Array, labels: Array) -> dict[str, Array]:
    """Per example; `asked`: there is another one that shows the same."""
    count = len(vectors)
    found = {name: np.zeros(count) for name in ("recall_at_1", "recall_at_5", "map_at_r")}
    asked = np.zeros(count, dtype=bool)
    for start in range(0, count, ROWS):
        rows = np.arange(start, min(start + ROWS, count))
        nearness = vectors[rows] @ vectors.T
        nearness[np.arange(len(rows)), rows] = -np.inf  # not oneself
        order = np.argsort(-nearness, axis=1, kind="stable")[:, : count - 1]
        same = (labels[rows].astype(np.float32) @ labels.T.astype(np.float32)) > 0
        right = np.take_along_axis(same, order, axis=1)
        others = right.sum(1)
        asked[rows] = others > 0
        found["recall_at_1"][rows] = right[:, :1].any(1)
        found["recall_at_5"][rows] = right[:, :5].any(1)
        precision = right.cumsum(1) / np.arange(1, right.shape[1] + 1)
        first = np.arange(right.shape[1]) < others[:, None]
        found["map_at_r"][rows] = (precision * right * first).sum(1) / np.maximum(others, 1)
    return {**found, "asked": asked}
