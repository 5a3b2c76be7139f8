"""Concepts with few examples: drawn as often as others, or counted for more."""

from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.engine import classification
from luthier.engine.loading import training_chunks
from luthier.engine.recipes.image_classification import ImageClassification
from tests.engine.runs import Pictures, finished, make_run, spec_of, train_here


def test_balanced_sampling_draws_every_concept_equally_often() -> None:
    groups = [[0, 1, 2, 3, 4, 5, 6, 7], [8], [9, 10]]
    chunks = training_chunks(11, 4, 0, seed=1, epoch=0, alike=groups)
    drawn = [one for chunk in chunks for one in chunk]
    counts = [sum(one in group for one in drawn) for group in groups]
    assert sorted(counts) == [3, 4, 4] and len(drawn) == 11
    assert chunks != training_chunks(11, 4, 0, seed=1, epoch=1, alike=groups)


def test_balanced_sampling_shows_a_rare_concept_as_often_as_a_frequent_one(digits: Pictures, tmp_path: Path) -> None:
    ones, nines = ([one for one in digits if one[0] == label] for label in ("1", "9"))
    run = make_run(
        tmp_path / "run",
        ones[:60] + nines[:6],
        spec_of("a", given={"num_epochs": 1, "batch_size": 8}, concepts=["1", "9"], plan={"balanced_sampling": True}),
        splits=("train",),
    )
    seen = torch.zeros(2)
    honest = ImageClassification.loss

    def watched(self: Any, network: Any, batch: Any) -> torch.Tensor:
        seen.add_(batch["targets"].sum(0))
        return honest(self, network, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageClassification, "loss", watched)
        finished(train_here(run))
    assert seen.sum() == 66 and abs(seen[0] - seen[1]) <= 1, seen


def test_balanced_weights_make_all_concepts_weigh_alike() -> None:
    """As scikit-learn's "balanced": examples / (concepts x examples of the concept)."""
    weights = classification.balanced({"a": 90, "b": 10, "c": 0}, 100, ["a", "b", "c"], exclusive=True)
    assert weights[1].tolist() == pytest.approx([100 / 180, 100 / 20, 1.0])
    several = classification.balanced({"a": 90, "b": 10}, 100, ["a", "b"], exclusive=False)
    assert several[:, 0].tolist() == pytest.approx([100 / 20, 100 / 180])
    assert several[:, 1].tolist() == pytest.approx([100 / 180, 100 / 20])


@pytest.mark.parametrize("exclusive", [True, False])
def test_weighted_loss_is_the_same_where_all_concepts_are_as_frequent(exclusive: bool) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(8, 2), torch.eye(2).repeat(4, 1)
    weights = classification.balanced({"a": 4, "b": 4}, 8, ["a", "b"], exclusive=exclusive)
    plain = classification.loss(logits, targets, exclusive=exclusive)
    assert torch.allclose(plain, classification.loss(logits, targets, exclusive=exclusive, weights=weights))


def test_class_weights_find_more_of_a_rare_concept(digits: Pictures, tmp_path: Path) -> None:
    """Twelve sevens among 120 ones, for two epochs."""
    ones, sevens = ([one for one in digits if one[0] == label] for label in ("1", "7"))
    pictures = [*sevens[:12], *ones[:120], *sevens[12:52], *ones[120:160]]
    recalls = {}
    for weights in ("none", "balanced"):
        given = {"num_epochs": 2, "batch_size": 12, "learning_rate": 0.002}
        spec = spec_of("a", given=given, concepts=["1", "7"], plan={"class_weights": weights})
        run = make_run(tmp_path / weights, pictures, spec, splits=("train",) * 132 + ("test",) * 80)
        finished(train_here(run))
        recalls[weights] = run.report()["per_concept"][1]["recall"]
    assert recalls["balanced"] > recalls["none"] + 0.2, recalls
