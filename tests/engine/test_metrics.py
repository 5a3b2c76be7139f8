"""Metrics agree with scikit-learn's; what cannot be computed is left out and not called 0."""

import numpy as np
import pytest
from sklearn import metrics as reference

from luthier.engine.metrics import score

NAMES = ["a", "b", "c", "d"]


def made_up(exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(3)
    predicted = dice.random((200, 4)).round(2)  # ties
    truth = np.eye(4, dtype=bool)[dice.integers(0, 4, 200)] if exclusive else dice.random((200, 4)) < 0.4
    if exclusive:
        predicted = predicted + truth * 0.3
        predicted /= predicted.sum(1, keepdims=True)
    return predicted, truth


def test_one_concept_each_agrees_with_scikit_learn() -> None:
    predicted, truth = made_up(exclusive=True)
    scores = score(predicted, truth, NAMES, exclusive=True)
    true, chosen = truth.argmax(1), predicted.argmax(1)
    assert scores.metrics["accuracy"] == pytest.approx(reference.accuracy_score(true, chosen))
    assert scores.metrics["macro_f1"] == pytest.approx(reference.f1_score(true, chosen, average="macro"))
    auc = reference.roc_auc_score(truth, predicted, average="macro")
    assert scores.metrics["macro_roc_auc"] == pytest.approx(auc)
    assert scores.metrics["loss"] == pytest.approx(reference.log_loss(true, predicted), rel=1e-6)
    assert scores.confusion == reference.confusion_matrix(true, chosen).tolist()
    precision, recall, f1, support = reference.precision_recall_fscore_support(true, chosen)
    for i, row in enumerate(scores.per_concept):
        expected = (precision[i], recall[i], f1[i], support[i])
        assert (row["precision"], row["recall"], row["f1"], row["support"]) == pytest.approx(expected)


def test_several_concepts_agree_with_scikit_learn() -> None:
    predicted, truth = made_up(exclusive=False)
    scores = score(predicted, truth, NAMES, exclusive=False)
    chosen = predicted >= 0.5
    assert scores.metrics["exact_match"] == pytest.approx(reference.accuracy_score(truth, chosen))
    assert scores.metrics["macro_f1"] == pytest.approx(reference.f1_score(truth, chosen, average="macro"))
    assert scores.metrics["micro_f1"] == pytest.approx(reference.f1_score(truth, chosen, average="micro"))
    assert scores.metrics["macro_roc_auc"] == pytest.approx(reference.roc_auc_score(truth, predicted, average="macro"))
    right = truth[np.arange(200), predicted.argmax(1)][truth.any(1)]
    assert scores.metrics["accuracy"] == pytest.approx(right.mean())


def test_bad_F8_concept_missing_in_the_split_is_not_available_rather_than_zero() -> None:
    predicted = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    truth = np.array([[True, False, False], [False, True, False]])
    scores = score(predicted, truth, NAMES[:3], exclusive=True)
    assert scores.per_concept[2]["recall"] is None
    assert scores.per_concept[2]["f1"] is None
    assert scores.per_concept[2]["roc_auc"] is None
    assert scores.metrics["macro_f1"] == 1.0


def test_an_empty_split_has_no_metrics() -> None:
    scores = score(np.empty((0, 2)), np.empty((0, 2), dtype=bool), NAMES[:2], exclusive=True)
    assert scores.metrics == {}
