"""A training from beginning to end: it learns real digits, is repeatable, and fails with cause and remedy."""

import math
from pathlib import Path
from typing import Any

import pytest

from luthier.engine.recipe import Scores
from luthier.engine.recipes import image_classification
from luthier.engine.train import rank_of
from luthier.runs.events import Checkpointed, EpochDone, Evaluated, Started, StepDone
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from tests.engine.runs import (
    Pictures,
    examples_of,
    failed,
    finished,
    hashes_of_weights,
    make_run,
    spec_of,
    train_here,
)

SHORT = {"num_epochs": 2, "batch_size": 16}


def test_tiny_resnet_learns_handwritten_digits(digits: Pictures, tmp_path: Path) -> None:
    """All 1,797 digits, the template's own settings but for fewer epochs."""
    run = make_run(tmp_path / "run", digits, spec_of("run", given={"num_epochs": 5}, estimated_seconds=30.0))
    events = train_here(run)
    assert finished(events).metrics["accuracy"] >= 0.97
    report = run.report()
    assert report["metrics"]["test"] == finished(events).metrics
    assert sum(map(sum, report["confusion"])) == report["counts"]["examples"]["test"]
    assert [row["id"] for row in report["per_concept"]] == [str(digit) for digit in range(10)]
    kinds = [type(event).__name__ for event in events]
    assert kinds[0] == "Started" and kinds[-1] == "Finished"
    assert kinds.count("EpochDone") == 5 >= kinds.count("Checkpointed") >= 1
    assert kinds.count("Evaluated") == 6
    assert not [event for event in events if isinstance(event, StepDone) and not math.isfinite(event.seconds_left)]


@pytest.mark.usefixtures("float32")
def test_log_tells_a_person_what_was_read_and_done(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:60], spec_of("run", given=SHORT, estimated_seconds=100.0))
    train_here(run)
    log = run.log_file.read_text()
    for line in (
        "Examples read, by concept and split:",
        "Plan: epochs 2, batch_size 16, learning_rate 0.003",
        "48 training, 6 validation, 6 test examples; 309,930 of",
        "on cpu",
        "in float32",
        "Epoch 1/2: train loss",
        "val: accuracy",
        "test: accuracy",
        "Estimated 1 min 40 s, took",
    ):
        assert line in log, f"{line!r} is not in\n{log}"


def test_same_seed_same_bytes_other_seed_other_bytes(digits: Pictures, tmp_path: Path) -> None:
    runs = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        run = make_run(tmp_path / name, digits[:60], spec_of(name, given=SHORT, seed=seed))
        finished(train_here(run))
        runs[name] = hashes_of_weights(run)
    assert runs["one"] == runs["again"]
    assert runs["one"] != runs["other"]


def test_without_validation_split_the_last_weights_are_served(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:32], spec_of("run", given=SHORT), splits=("train",))
    event = finished(train_here(run))
    hashes = hashes_of_weights(run)
    assert event.metrics == {}
    assert hashes["best/model.safetensors"] == hashes["last/model.safetensors"]
    assert "there are no val examples: the last weights are served" in run.log_file.read_text()


def test_stops_early_when_validation_gets_no_better(digits: Pictures, tmp_path: Path) -> None:
    given = {"num_epochs": 50, "batch_size": 16, "early_stopping_epochs": 2, "learning_rate": 1e-9}
    run = make_run(tmp_path / "run", digits[:60], spec_of("run", given=given))
    event = finished(train_here(run))
    assert event.stopped_early
    assert event.epochs < 50


def test_several_concepts_per_picture_use_a_sigmoid_each(digits: Pictures, tmp_path: Path) -> None:
    given = {**SHORT, "num_epochs": 8, "concepts_mutually_exclusive": False}
    examples = examples_of(tmp_path / "pictures", digits[:300])
    both = [
        Example(**{**_fields(one), "labels": {**one.labels, "even": int(int(next(iter(one.labels))) % 2 == 0)}})
        for one in examples
    ]
    concepts = [str(digit) for digit in range(10)] + ["even"]
    run = prepare(tmp_path / "run", spec_of("run", given=given, concepts=concepts), both)
    event = finished(train_here(run))
    assert event.metrics["macro_roc_auc"] > 0.9
    assert "exact_match" in event.metrics


def test_nan_loss_fails_in_that_step_and_names_step_rate_and_checkpoint(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(1000))
    honest = image_classification.ImageClassification.loss

    def poisoned(self: Any, network: Any, batch: Any) -> Any:
        loss = honest(self, network, batch)
        return loss * math.nan if next(calls) == 4 else loss

    monkeypatch.setattr(image_classification.ImageClassification, "loss", poisoned)
    run = make_run(tmp_path / "run", digits[:60], spec_of("run", given=SHORT))
    event = failed(train_here(run))
    assert event.code == 21106
    assert "the loss is nan at step 5, learning rate" in event.details
    assert "last good checkpoint: checkpoints/step-00000003" in event.details
    assert not run.report_file.exists()


def test_a_gradient_that_is_not_finite_stops_before_it_touches_the_weights(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = image_classification.ImageClassification.loss

    def poisoned(self: Any, network: Any, batch: Any) -> Any:
        weight = next(network.parameters())
        return honest(self, network, batch) + (weight * 0).sum().sqrt()  # 0, with a slope of infinity

    monkeypatch.setattr(image_classification.ImageClassification, "loss", poisoned)
    run = make_run(tmp_path / "run", digits[:60], spec_of("run", given=SHORT))
    event = failed(train_here(run))
    assert "the norm of the gradient is nan at step 1, learning rate" in event.details
    assert "last good checkpoint: none" in event.details


def test_early_stopping_and_the_best_epoch_go_by_the_metric_that_is_named(digits: Pictures, tmp_path: Path) -> None:
    for metric in ("macro_f1", "loss"):
        spec = spec_of("run", given={**SHORT, "num_epochs": 5}, plan={"early_stopping_metric": metric})
        run = make_run(tmp_path / metric, digits[:120], spec)
        judged = [event for event in train_here(run) if isinstance(event, Evaluated) and event.split == "val"]
        best = max(judged, key=lambda event: event.metrics[metric] * (-1 if metric == "loss" else 1))
        assert run.report()["metrics"]["val"][metric] == best.metrics[metric]


def test_an_epoch_whose_metric_cannot_be_computed_is_below_all_others() -> None:
    known = Scores({"macro_roc_auc": 0.1, "loss": 2.0}, [], (0.5, 0.0))
    unknown = Scores({"loss": 1.0}, [], (0.9, 0.0))
    assert rank_of(known, "macro_roc_auc") > rank_of(unknown, "macro_roc_auc")
    assert rank_of(unknown, "loss") > rank_of(known, "loss")
    assert rank_of(unknown, "automatic") > rank_of(known, "automatic")


def test_missing_weights_fail_and_are_never_replaced_by_random_ones(digits: Pictures, tmp_path: Path) -> None:
    spec = spec_of("run", "MMClassification_ResNet_50_RSB_A1", weights_folder=str(tmp_path / "weights"))
    event = failed(train_here(make_run(tmp_path / "run", digits[:20], spec)))
    assert event.code == 21118
    assert "timm/resnet50.a1_in1k" in event.details
    assert "luthier weights add" in event.details


def test_no_room_for_a_checkpoint_fails_with_path_and_bytes(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:60], spec_of("run", given=SHORT, disk_reserve_mb=10**9))
    event = failed(train_here(run))
    assert event.retryable
    assert str(run.checkpoints) in event.details and "bytes are free" in event.details


def test_incremental_training_starts_from_an_earlier_checkpoint(digits: Pictures, tmp_path: Path) -> None:
    """Concepts are matched by id, in whatever order; one more concept does no harm."""
    first = make_run(tmp_path / "first", digits[:400], spec_of("first", given={"num_epochs": 6}))
    before = finished(train_here(first)).metrics["accuracy"]
    concepts = ["new", *reversed([str(digit) for digit in range(10)])]
    changes = {"resume_from": str(first.checkpoints / "best"), "concepts": concepts}
    slow = {"num_epochs": 1, "learning_rate": 1e-6}
    second = make_run(tmp_path / "second", digits[:400], spec_of("second", given=slow, **changes))
    assert finished(train_here(second)).metrics["accuracy"] >= before - 0.05
    assert "10 of 11 concepts were known to it" in second.log_file.read_text()


# -- bad inputs --------------------------------------------------------------------------------------------------------


def _fields(example: Example) -> dict[str, Any]:
    return {name: getattr(example, name) for name in Example.__slots__}


def _with_bad(digits: Pictures, folder: Path, kind: str, count: int) -> list[Example]:
    """100 examples of which the first `count` are spoilt."""
    examples = examples_of(folder, digits[:100])
    for number in range(count):
        file = Path(examples[number].path)
        if kind == "unreadable":
            file.write_bytes(file.read_bytes()[:40])
        elif kind == "gone":
            file.unlink()
        else:
            examples[number] = Example(**{**_fields(examples[number]), "invalid": "ends early at byte 40"})
    return examples


@pytest.mark.parametrize("kind", ["unreadable", "gone", "invalid"])
def test_bad_F6_D17_few_invalid_inputs_are_skipped_and_listed(kind: str, digits: Pictures, tmp_path: Path) -> None:
    examples = _with_bad(digits, tmp_path / "pictures", kind, 5)
    run = prepare(tmp_path / "run", spec_of("run", given=SHORT, invalid_data_tolerance_percent=5.0), examples)
    finished(train_here(run))
    assert sorted(row["id"] for row in run.report()["skipped"]) == [f"input-{number}" for number in range(5)]
    assert all(row["reason"] for row in run.report()["skipped"])
    assert "5 of 100 inputs are skipped" in run.log_file.read_text()


@pytest.mark.parametrize("kind", ["unreadable", "gone", "invalid"])
def test_bad_F6_D17_too_many_invalid_inputs_fail_with_counts_and_ids(
    kind: str, digits: Pictures, tmp_path: Path
) -> None:
    examples = _with_bad(digits, tmp_path / "pictures", kind, 30)
    run = prepare(tmp_path / "run", spec_of("run", given=SHORT, invalid_data_tolerance_percent=5.0), examples)
    events = train_here(run)
    event = failed(events)
    assert event.code == 21119
    assert "of 100 inputs" in event.details and "allows 5 %" in event.details
    assert 5 < len(event.invalid) <= 20
    assert not [one for one in events if isinstance(one, Checkpointed | EpochDone | Evaluated)]
    if kind != "unreadable":
        assert not [one for one in events if isinstance(one, Started)], "known before any step"
        assert len(event.invalid) == 20


def test_bad_F7_no_usable_training_example(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:10], spec_of("run", concepts=["cat", "dog"]))
    event = failed(train_here(run))
    assert event.code == 21110
    assert "10 × no positive concept" in event.details


def test_bad_F9_fewer_examples_than_a_batch(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:10], spec_of("run", given={"num_epochs": 1, "batch_size": 64}))
    assert finished(train_here(run)).step == 1
    assert "batch_size 64 is more than there are examples: 8 is used" in run.log_file.read_text()


def test_bad_D18_pictures_of_one_colour_do_not_divide_by_zero(tmp_path: Path) -> None:
    import numpy as np

    from tests.conftest import png

    flat = [(str(number % 2), png(np.full((1, 1, 3), 40 * (number % 2), dtype=np.uint8))) for number in range(20)]
    given = {**SHORT, "random_augment": 5}
    finished(train_here(make_run(tmp_path / "run", flat, spec_of("run", given=given, concepts=["0", "1"]))))


def test_pictures_beyond_the_memory_budget_are_decoded_again(digits: Pictures, tmp_path: Path) -> None:
    spec = spec_of("run", given=SHORT, image_cache_mb=0)
    run = make_run(tmp_path / "run", digits[:60], spec)
    finished(train_here(run))
    cached = make_run(tmp_path / "cached", digits[:60], spec_of("run", given=SHORT))
    finished(train_here(cached))
    assert hashes_of_weights(run) == hashes_of_weights(cached)
