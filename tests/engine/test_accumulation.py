"""A step in parts: gradients that add up to those of the whole, and what happens when memory runs out."""

import math
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.engine import checkpoint
from luthier.engine.accumulation import parts_of, size_of
from luthier.engine.journal import Journal
from luthier.engine.loading import evenly
from luthier.engine.process import StopRequest, failure
from luthier.engine.recipes.image_classification import ImageClassification
from luthier.engine.train import train
from luthier.runs.events import Started
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import Pictures, events_of, failed, finished, hashes_of_weights, make_run, spec_of, train_here

pytestmark = pytest.mark.usefixtures("float32")  # sums in another order are alike in this precision alone

PLAIN = {"optimizer": "sgd", "learning_rate": 0.05, "flip_probability": 0.0, "shift_fraction": 0.0, "warmup_steps": 0}


def without_norms(name: str, batch_size: int, **plan: Any) -> RunSpec:
    """A network whose examples do not see each other, and pictures that are not changed."""
    given = {"num_epochs": 2, "batch_size": batch_size}
    return spec_of(name, "classification_cifar10_v1", given, plan={**PLAIN, **plan})


def weights_of(run: RunFolder) -> torch.Tensor:
    tensors = checkpoint.read_tensors(run.checkpoints / "last" / checkpoint.MODEL)
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def memory_for(most: int, monkeypatch: pytest.MonkeyPatch, error: type[Exception] = torch.OutOfMemoryError) -> None:
    """From now on a batch of more than `most` pictures does not fit."""
    honest = ImageClassification.loss

    def loss(self: Any, network: Any, batch: Any) -> torch.Tensor:
        if size_of(batch) > most:
            raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return honest(self, network, batch)

    monkeypatch.setattr(ImageClassification, "loss", loss)


def test_small_batches_that_are_added_up_are_as_good_as_a_large_one(digits: Pictures, tmp_path: Path) -> None:
    large = make_run(tmp_path / "large", digits[:100], without_norms("a", 32))
    small = make_run(tmp_path / "small", digits[:100], without_norms("a", 8, accumulate=4))
    assert finished(train_here(large)).step == finished(train_here(small)).step == 6
    assert torch.allclose(weights_of(large), weights_of(small), atol=1e-5)
    assert small.report()["plan"]["step_size"] == 32 and small.report()["plan"]["micro_batch"] == 8


def test_more_to_a_step_than_there_are_examples_takes_all(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:50], without_norms("a", 16, accumulate=10))
    assert finished(train_here(run)).step == 2
    assert (
        "accumulate 10 times batch_size 16 is more than there are examples: a step has all 40"
        in run.log_file.read_text()
    )


@pytest.mark.parametrize("fits", [1, 2, 4, 8])
def test_P12_out_of_memory_halves_what_is_computed_at_once_and_keeps_the_step(
    fits: int, digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = make_run(tmp_path / "quiet", digits[:100], without_norms("a", 16))
    before = finished(train_here(quiet)).step
    memory_for(fits, monkeypatch)
    run = make_run(tmp_path / "run", digits[:100], without_norms("a", 16))
    assert finished(train_here(run)).step == before
    plan = run.report()["plan"]
    assert plan["micro_batch"] == fits and plan["step_size"] == plan["batch_size"] == 16
    log = run.log_file.read_text()
    assert log.count("Out of memory at step 1") == math.log2(16 / fits)
    assert f"Going on with {fits} at once; a step still has 16 examples, whose gradients are added up" in log
    assert torch.allclose(weights_of(quiet), weights_of(run), atol=1e-5)


def test_P12_after_five_halvings_it_fails_with_advice(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_for(1, monkeypatch, RuntimeError)
    run = make_run(tmp_path / "run", digits[:100], without_norms("a", 64))
    event = failed(train_here(run))
    assert event.code == 21106
    assert "out of memory at step 1, even with 2 examples at once, after 5 halvings of batch_size 64" in event.details
    assert event.details.endswith("Give a smaller image_size or batch_size, or set gradient_checkpointing")
    config = {"image_size": [32], "custom_config": ""}
    for has, advice in (
        (config, "Give a smaller size of training pictures in custom_config or batch size in custom_config"),
        ({}, "Train on a device with more memory"),
    ):
        lacking = replace(without_norms("b", 64), hyperparameters=has)  # a template without the others
        event = failed(train_here(make_run(tmp_path / f"has-{len(has)}", digits[:100], lacking)))
        assert event.details.endswith(f". {advice}")


def test_out_of_memory_outside_of_steps_names_what_texts_have_too(tmp_path: Path) -> None:
    event = failure(torch.OutOfMemoryError("no room"), RunFolder(tmp_path))
    assert event.retryable and event.details.endswith(
        "Give a smaller batch_size, image_size or max_tokens (model_max_length)"
    )


def test_a_backward_pass_that_was_cut_leaves_no_tensors_behind(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the cut pass would have needed is alive in the first attempt, and gone before the second."""
    held: list[weakref.ref[torch.Tensor]] = []
    honest = ImageClassification.loss

    def no_room(gradient: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("out of memory")

    def loss(self: Any, network: Any, batch: Any) -> torch.Tensor:
        value = honest(self, network, batch)
        if not held:
            kept = network.head.weight * 2
            held.append(weakref.ref(kept))
            side = (kept * kept).sum()
            side.register_hook(no_room)
            return value + 0 * side
        assert held[0]() is None
        return value

    monkeypatch.setattr(ImageClassification, "loss", loss)
    run = make_run(tmp_path / "run", digits[:40], without_norms("a", 16))
    finished(train_here(run))
    assert run.log_file.read_text().count("Out of memory at step 1") == 1


def test_other_errors_are_not_taken_for_lack_of_memory(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, network: Any, batch: Any) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(ImageClassification, "loss", broken)
    run = make_run(tmp_path / "run", digits[:40], without_norms("a", 16))
    assert "RuntimeError: shapes do not match" in failed(train_here(run)).details
    assert "Out of memory" not in run.log_file.read_text()


def test_P12_a_run_that_goes_on_knows_what_fits_and_ends_with_the_same_bytes(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_for(4, monkeypatch)
    given = {"num_epochs": 2, "batch_size": 16, "rotate_degrees": 10, "mixup_alpha": 0.2}
    quiet = make_run(tmp_path / "quiet", digits[:100], spec_of("a", given=given))
    finished(train_here(quiet))
    assert "Batch normalisation now takes its statistics from 4 examples instead of 8" in quiet.log_file.read_text()

    run = make_run(tmp_path / "run", digits[:100], spec_of("a", given=given))
    journal = Journal(run, echo=False)
    stop = StopRequest(journal)
    stop.requested = True
    train(run, journal, stop, time.monotonic())  # saves after its first step
    assert run.log_file.read_text().count("Out of memory") == 2
    events = train_here(run)
    assert [event.step for event in events_of(run) if isinstance(event, Started)] == [0, 1]
    assert finished(events).epochs == 2
    assert run.log_file.read_text().count("Out of memory") == 2, "it need not find out again"
    assert hashes_of_weights(run) == hashes_of_weights(quiet)


def test_parts_are_even_so_that_none_is_left_with_a_single_example() -> None:
    batch = {"images": torch.arange(17), "targets": torch.arange(17) * 2}
    parts = list(parts_of(batch, 16))
    assert [size_of(part) for part in parts] == [9, 8]
    assert torch.equal(torch.cat([part["targets"] for part in parts]), batch["targets"])
    assert [len(part) for part in evenly(list(range(17)), 16)] == [8, 9]
    assert evenly([5, 6], 4) == [[5, 6]]


def test_a_step_spends_no_time_on_accelerators_that_are_not_used(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeding them takes the call's stack as text, three times over."""
    stacks = []
    monkeypatch.setattr("traceback.format_stack", lambda *given: stacks.append(given) or [])
    run = make_run(tmp_path / "run", digits[:64], without_norms("a", 32))
    assert finished(train_here(run)).step == 4
    assert not stacks
