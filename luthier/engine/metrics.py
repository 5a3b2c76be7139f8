"""How good predictions are: accuracy, F1, precision, recall, ROC AUC, confusion. numpy only.

What cannot be computed, as the recall of a concept that no example has, is None and left out of means.
"""

from typing import Any

import numpy as np

from luthier.engine.recipe import Scores

Array = np.ndarray[Any, Any]
THRESHOLD = 0.5  # of a sigmoid: the concept is predicted


def score(predicted: Array, truth: Array, concepts: list[str], *, exclusive: bool) -> Scores:
    """`predicted` probabilities and `truth` booleans are (examples, concepts).

    `accuracy` is the share of examples whose most probable concept is one of theirs, in both modes (examples without
    any do not count). Where several concepts may hold, `exact_match` is the share of examples whose whole set is right
    at a threshold of 0.5, by which F1, precision and recall go too. Means over concepts are macro means; the micro F1
    counts every pair of example and concept alike.
    """
    chosen = _top(predicted) if exclusive else predicted >= THRESHOLD
    rows = [_concept_row(chosen[:, i], truth[:, i], predicted[:, i], name) for i, name in enumerate(concepts)]
    values = {
        "accuracy": top1(predicted, truth),
        "exact_match": None if exclusive or not len(truth) else float((chosen == truth).all(1).mean()),
        "micro_f1": None if exclusive else _micro_f1(chosen, truth),
        "macro_f1": _mean([row["f1"] for row in rows]),
        "macro_precision": _mean([row["precision"] for row in rows]),
        "macro_recall": _mean([row["recall"] for row in rows]),
        "macro_roc_auc": _mean([row["roc_auc"] for row in rows]),
        "loss": _log_loss(predicted, truth, exclusive),
    }
    metrics = {name: value for name, value in values.items() if value is not None}
    first = metrics.get("accuracy" if exclusive else "macro_roc_auc", 0.0)
    confusion = confusion_matrix(predicted.argmax(1), truth) if exclusive else []
    return Scores(metrics, rows, (first, -metrics.get("loss", 0.0)), confusion)


def top1(predicted: Array, truth: Array) -> float | None:
    labelled = truth.any(1)
    if not labelled.any():
        return None
    right = truth[np.arange(len(truth)), predicted.argmax(1)]
    return float(right[labelled].mean())


def confusion_matrix(chosen: Array, truth: Array) -> list[list[int]]:
    """Counts, row = the true concept, column = the predicted one."""
    size = truth.shape[1]
    counts = np.zeros((size, size), dtype=np.int64)
    np.add.at(counts, (truth.argmax(1), chosen), 1)
    matrix: list[list[int]] = counts.tolist()
    return matrix


def roc_auc(scores: Array, truth: Array) -> float | None:
    """Area under the ROC curve, as the Mann-Whitney statistic with ties at their mean rank."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _concept_row(chosen: Array, truth: Array, scores: Array, name: str) -> dict[str, Any]:
    hits, support, predictions = int((chosen & truth).sum()), int(truth.sum()), int(chosen.sum())
    precision = hits / predictions if predictions else (0.0 if support else None)
    recall = hits / support if support else None
    f1 = 2 * hits / (support + predictions) if support else None
    return {
        "id": name,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": support,
        "predicted": predictions,
        "true_positives": hits,
        "roc_auc": roc_auc(scores, truth),
    }


def _micro_f1(chosen: Array, truth: Array) -> float | None:
    hits, either = int((chosen & truth).sum()), int(truth.sum()) + int(chosen.sum())
    return 2 * hits / either if truth.any() else None


def _log_loss(predicted: Array, truth: Array, exclusive: bool) -> float | None:
    """Cross entropy of the probabilities, nats per example (softmax) or per example and concept (sigmoid)."""
    if not len(truth):
        return None
    clipped = np.clip(predicted.astype(np.float64), 1e-7, 1 - 1e-7)
    if exclusive:
        return float(-(np.log(clipped) * truth).sum(1).mean())
    return float(-np.where(truth, np.log(clipped), np.log1p(-clipped)).mean())


def _top(predicted: Array) -> Array:
    chosen = np.zeros(predicted.shape, dtype=bool)
    chosen[np.arange(len(predicted)), predicted.argmax(1)] = True
    return chosen


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
