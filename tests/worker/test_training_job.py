"""A training as its owner sees it: progress, results, failures with cause and remedy, cancel, deletion, drain.

The engine is the fake of tests/runs; test_real_engine.py has the real one.
"""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from luthier.catalog.model_type import find_template
from luthier.runs.events import Finished, Started
from luthier.runs.run import RunSpec
from luthier.settings import Settings
from luthier.store import calibrations, jobs, logs, versions
from luthier.store.jobs import State
from luthier.worker import publication
from luthier.worker.following import Seen
from luthier.worker.loop import Worker
from tests.runs.test_launch import alive
from tests.worker.world import World

Start = Callable[..., Worker]
WELL: list[Any] = [["started"], ["print", "hello"], ["step", 5], ["epoch", 1], ["step", 8], ["save"], ["finish"]]
ENDLESS: list[Any] = [["started"], ["step", 5], ["epoch", 1], ["step", 8], ["save"], ["sleep", 600]]


def run_of(world: World, seq: int) -> Path:
    return world.settings.runs_folder / world.version(seq).id


def pids(world: World, run: Path) -> list[int]:
    file = run / "attempts"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def cancel(world: World, seq: int, by: str = "ada") -> State | None:
    with world.database.write() as connection:
        return jobs.request_cancel(connection, "training", seq, by)


def log_of(world: World, seq: int) -> str:
    with world.database.read() as connection:
        return "".join(logs.read(connection, seq))


def test_a_training_ends_with_results_log_and_a_measurement(labelled: World, start_worker: Start) -> None:
    seq = labelled.train()
    start_worker(WELL)
    version = labelled.ended(seq)
    assert (version.status, version.percent, version.details) == (21100, 100, "")
    assert version.results["metrics"] == {"accuracy": 0.9, "macro_f1": 0.8}
    assert version.results["val_metrics"]["accuracy"] == 0.9
    assert version.results["estimate"] == {"estimated_seconds": 10.0, "actual_seconds": 5.0}
    assert version.checkpoint == "checkpoints/best" and version.input_count == 10
    assert "hello\n" in log_of(labelled, seq)
    with labelled.database.read() as connection:
        (measured,) = calibrations.all_for(connection, "cpu (fake)/1")
    assert (measured.template, measured.image_size, measured.batch_size) == ("luthier_tiny_resnet", 32, 4)
    assert measured.seconds_per_step == 0.4 and measured.checkpoint_seconds == 0.05
    assert measured.seconds_per_validation_item == 0.5  # seconds of an evaluation by its one item


def test_a_measurement_of_texts_says_how_much_was_read_of_them(tmp_path: Path) -> None:
    seen = Seen()
    seen.add(Started(0, 8, 1, 80, 10, 10, "cpu", "float32", 32, 1, 1, 1.0))
    done = {"metrics": {}, "stopped_early": False, "seconds": 9.0, "train_seconds": 8.0, "start_seconds": 1.0}
    rest = {"validation_seconds": 0.1, "checkpoint_seconds": 0.1, "samples_per_second": 32.0, "peak_memory_mb": 1.0}
    seen.add(Finished(step=8, epochs=1, checkpoint="", steady_seconds_per_step=1.0, **done, **rest))
    minilm = find_template("text-classifier", "luthier_minilm")
    spec = SimpleNamespace(template=minilm.id, model_type=minilm.model_type, hyperparameters=minilm.defaults())
    found = []
    for request in ({"text_bytes": 56.0}, {}):
        version: Any = SimpleNamespace(model_type=minilm.model_type, request=request)
        measured = publication.calibration(Settings(data_dir=tmp_path), version, cast(RunSpec, spec), seen)
        found.append(measured and measured.gflops_per_item)
    assert found == pytest.approx([minilm.gflops * 16 / 64, minilm.gflops])


def test_a_metric_that_cannot_be_computed_is_left_out(labelled: World, start_worker: Start) -> None:
    seq = labelled.train()
    start_worker([["started"], ["step", 5], ["finish", 1]])
    assert labelled.ended(seq).results["metrics"] == {"accuracy": 0.9, "macro_f1": 0.8}


def test_progress_is_told_while_it_trains(labelled: World, start_worker: Start) -> None:
    seq = labelled.train()
    start_worker(ENDLESS)
    version = labelled.until(lambda: (v := labelled.version(seq)).percent == 80 and v)
    assert version.status == 21101 and version.seconds_left == 5
    assert version.details == "epoch 2 of 2, loss 0.21, accuracy 0.97"


def test_p14_a_poisoned_training_is_tried_three_times_and_says_why(labelled: World, start_worker: Start) -> None:
    seq = labelled.train()
    start_worker([["print", "first"], ["kill"]], [["exit", 3]], [["print", "third"], ["kill"]])
    version = labelled.ended(seq)
    assert version.status == 21106
    assert len(pids(labelled, run_of(labelled, seq))) == 3
    for word in ("signal 9", "ended with code 3", "first", "third", "3 attempts", "batch_size"):
        assert word in version.details


def test_a_crash_is_tried_again_and_the_log_goes_on(labelled: World, start_worker: Start) -> None:
    seq = labelled.train()
    start_worker([["print", "one"], ["started"], ["step", 3], ["kill"]], [["print", "two"], *WELL])
    assert labelled.ended(seq).status == 21100
    log = log_of(labelled, seq)
    assert log.count("one\n") == 1 and log.index("one") < log.index("Attempt 2") < log.index("two")


def test_a_failure_begins_with_its_code_and_is_not_tried_again(labelled: World, start_worker: Start) -> None:
    seq = labelled.train()
    start_worker([["fail", 21119, "Too many invalid inputs", "7 of 10 inputs cannot be read"]])
    version = labelled.ended(seq)
    expected = "21119 MODEL_TRAINING_INVALID_DATA_TOLERANCE_EXCEEDED: 7 of 10 inputs cannot be read"
    assert (version.status, version.details) == (21106, expected)
    assert len(pids(labelled, run_of(labelled, seq))) == 1
    assert "The training has failed. 21119" in log_of(labelled, seq)


def test_a_failure_that_may_pass_is_tried_again(labelled: World, start_worker: Start) -> None:
    seq = labelled.train()
    start_worker([["fail", 10030, "Not enough disk space", "12 bytes free", True]], WELL)
    assert labelled.ended(seq).status == 21100


@pytest.mark.parametrize("first", [[], [["deaf"]]], ids=["obeys", "ignores SIGTERM"])
def test_p5_cancel_ends_a_running_training_within_five_seconds(
    labelled: World, start_worker: Start, first: list[Any]
) -> None:
    seq = labelled.train()
    start_worker([*first, *ENDLESS])
    labelled.until(lambda: labelled.version(seq).percent == 80)
    began = time.monotonic()
    assert cancel(labelled, seq) is State.RUNNING
    version = labelled.ended(seq, 5)
    assert time.monotonic() - began < 5
    assert not any(alive(pid) for pid in pids(labelled, run_of(labelled, seq)))
    assert (version.status, version.details) == (21106, "cancelled by ada at epoch 2")
    assert version.checkpoint == "checkpoints/best"
    assert "Cancelled by ada at epoch 2. The last checkpoint is kept." in log_of(labelled, seq)
    assert cancel(labelled, seq, "bob") is State.CANCELLED


def test_p5_a_cancel_before_a_checkpoint_keeps_what_the_engine_saved_on_the_way_out(
    labelled: World, start_worker: Start
) -> None:
    seq = labelled.train()
    start_worker([["started"], ["step", 1], ["sleep", 600]])
    labelled.until(lambda: labelled.version(seq).percent == 10)
    cancel(labelled, seq)
    assert labelled.ended(seq, 5).checkpoint == "checkpoints/step-00000001"


def test_p5_a_queued_training_that_was_cancelled_never_starts(labelled: World, start_worker: Start) -> None:
    seq, other = labelled.train(), labelled.train()
    assert cancel(labelled, seq) is State.CANCELLED
    start_worker(WELL)
    labelled.ended(other)
    assert labelled.version(seq).status == 21103 and not run_of(labelled, seq).exists()


def test_deleting_a_running_version_stops_it_within_five_seconds_and_leaves_nothing(
    labelled: World, start_worker: Start
) -> None:
    seq = labelled.train()
    start_worker([["deaf"], ["child"], *ENDLESS])
    labelled.until(lambda: labelled.version(seq).percent == 80)
    run = run_of(labelled, seq)
    (pid,), child = pids(labelled, run), int((run / "child").read_text())
    began = time.monotonic()
    with labelled.database.write() as connection:
        versions.delete(connection, seq)
    labelled.until(lambda: not alive(pid) and not alive(child) and not run.exists(), 5)
    assert time.monotonic() - began < 5
    labelled.until(lambda: _states(labelled) == [State.CANCELLED])


def _states(world: World) -> list[str]:
    from sqlalchemy import select

    from luthier.store.tables import jobs as table

    with world.database.read() as connection:
        return list(connection.execute(select(table.c.state).order_by(table.c.seq)).scalars())


def test_p6_a_drained_worker_hands_the_training_on(labelled: World, start_worker: Start) -> None:
    seq = labelled.train()
    worker = start_worker(ENDLESS, WELL)
    labelled.until(lambda: labelled.version(seq).percent == 80)
    worker.drain()
    assert worker.join(10)
    version = labelled.version(seq)
    assert version.status == 21103 and "goes on when a worker is free" in version.details
    assert _states(labelled) == [State.QUEUED]
    start_worker()
    assert labelled.ended(seq).status == 21100
    assert len(pids(labelled, run_of(labelled, seq))) == 2


def test_p3_a_worker_that_lost_its_lease_stops_its_trainer_and_writes_nothing(
    labelled: World, start_worker: Start
) -> None:
    seq = labelled.train()
    first = start_worker(ENDLESS, WELL)
    labelled.until(lambda: labelled.version(seq).percent == 80)
    (pid,) = pids(labelled, run_of(labelled, seq))
    assert jobs.release_owner(labelled.database, first.name) == 1
    labelled.until(lambda: not alive(pid), 5)
    assert labelled.ended(seq).status == 21100
    assert _states(labelled) == [State.DONE]


def test_p17_what_finished_before_its_worker_died_is_published_without_training_again(
    labelled: World, start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    seq = labelled.train()

    def dies(*given: object) -> None:
        raise RuntimeError("the worker dies here")

    with monkeypatch.context() as patch:
        patch.setattr(versions, "to_trained", dies)
        worker = start_worker(WELL)
        labelled.until(lambda: (run_of(labelled, seq) / "report.json").exists())
        worker.drain()
        assert worker.join(10)
    assert labelled.version(seq).status != 21100 and labelled.version(seq).results == {}
    with labelled.database.read() as connection:
        assert calibrations.all_for(connection, "cpu (fake)/1") == []
    start_worker()
    assert labelled.ended(seq).results["metrics"] == {"accuracy": 0.9, "macro_f1": 0.8}
    assert len(pids(labelled, run_of(labelled, seq))) == 1


def test_p8_a_damaged_checkpoint_is_not_published(labelled: World, start_worker: Start) -> None:
    seq = labelled.train()
    start_worker([*WELL[:-1], ["finish_damaged"]], WELL)
    assert labelled.ended(seq).status == 21100
    assert len(pids(labelled, run_of(labelled, seq))) == 2


# -- refused before the start ------------------------------------------------------------------------------------------


def test_bad_F7_no_data(world: World, start_worker: Start) -> None:
    world.add_inputs([("a", b"x")])
    seq = world.train(concepts=["b", "c"])
    start_worker(WELL)
    assert world.ended(seq).details.startswith("21110 MODEL_TRAINING_NO_DATA: ")


def test_bad_F8_one_concept_only(labelled: World, start_worker: Start) -> None:
    seq = labelled.train(concepts=["d1"])
    start_worker(WELL)
    assert labelled.ended(seq).details.startswith("21112 MODEL_TRAINING_ONE_VS_N_SINGLE_CLASS: ")


def test_bad_F8_a_concept_without_positives(labelled: World, start_worker: Start) -> None:
    seq = labelled.train(concepts=["d1", "d2", "d9"])
    start_worker(WELL)
    version = labelled.ended(seq)
    assert version.details.startswith("21111 MODEL_TRAINING_NO_POSITIVES: ") and "d9" in version.details


@pytest.mark.parametrize(("tolerance", "status"), [(5.0, 21106), (50.0, 21100)])
def test_bad_F6_invalid_inputs_against_the_tolerance(
    labelled: World, start_worker: Start, tolerance: float, status: int
) -> None:
    broken = [("d1", b"broken %d" % number) for number in range(20)]
    labelled.add_inputs(broken, status=47104, details="file ends early")
    seq = labelled.train(invalid_data_tolerance_percent=tolerance)
    start_worker(WELL)
    version = labelled.ended(seq)
    assert version.status == status
    if status == 21106:
        assert version.details.startswith("21119 MODEL_TRAINING_INVALID_DATA_TOLERANCE_EXCEEDED: 20 of 80")
        assert "file ends early" in version.details


def test_missing_weights_are_named_with_the_command_that_adds_them(labelled: World, start_worker: Start) -> None:
    hyperparameters = {"num_epochs": 1}
    seq = labelled.train(template="MMClassification_ResNet_50_RSB_A1", hyperparameters=hyperparameters)
    start_worker(WELL)
    details = labelled.ended(seq).details
    assert details.startswith("21118 MODEL_TRAINING_INVALID_PARAMS: timm/resnet50.a1_in1k")
    assert "luthier weights" in details and "set pretrained_weights to None to start from random weights" in details


def test_bad_F12_a_dataset_version_that_was_deleted(labelled: World, start_worker: Start) -> None:
    from sqlalchemy import delete

    from luthier.store.tables import dataset_versions

    seq = labelled.train()
    with labelled.database.write() as connection:
        connection.execute(delete(dataset_versions))
    start_worker(WELL)
    assert labelled.ended(seq).details.startswith("64030 DATASET_VERSION_CONFLICT: ")


def test_bad_F13_a_named_version_that_is_still_being_made_is_waited_for(labelled: World, start_worker: Start) -> None:
    named = labelled.add_dataset_version()
    seq = labelled.train(dataset_version=named)
    start_worker(WELL)
    time.sleep(1)
    assert labelled.version(seq).status == 21101 and not (run_of(labelled, seq) / "run.json").exists()
    with labelled.database.write() as connection:
        jobs.enqueue(connection, "snapshot", "data", "ada", {}, subject=named)
    assert labelled.ended(seq).status == 21100


def test_bad_I5_training_goes_on_from_another_version(labelled: World, start_worker: Start) -> None:
    """What the first has learnt from is not what the second is judged on: here all that the dataset calls test."""
    from luthier.runs.manifest import read_manifest
    from luthier.runs.run import RunFolder

    start_worker(WELL)
    first = labelled.ended(labelled.train())
    manifest = labelled.settings.runs_folder / first.run_folder / "manifest.jsonl"
    tested = sum(one.split == "test" for one in read_manifest(manifest))
    manifest.write_text(manifest.read_text().replace('"split":"test"', '"split":"train"'))
    resume = {"model_id": "clf", "version_id": first.id}
    seq = labelled.train(resume_from=resume)
    second = labelled.ended(seq)
    assert second.status == 21100
    run = RunFolder(labelled.settings.runs_folder / second.run_folder)
    assert {one.split for one in read_manifest(run.manifest_file)} == {"train", "val"}
    assert f"Warning: {tested} validation and test examples are left out" in log_of(labelled, seq)
    assert "there are no test examples" in log_of(labelled, seq)
    spec = run.spec()
    assert Path(spec.resume_from) == labelled.settings.runs_folder / first.id / "checkpoints/best"
    gone = labelled.ended(labelled.train(resume_from={"model_id": "clf", "version_id": "0" * 32}))
    assert gone.details.startswith("21118 MODEL_TRAINING_INVALID_PARAMS: train_info.resume_from_model")


def test_the_run_folder_holds_the_asked_concepts_and_their_examples_only(labelled: World, start_worker: Start) -> None:
    from luthier.runs.manifest import read_manifest
    from luthier.runs.run import RunFolder

    start_worker(WELL)
    version = labelled.ended(labelled.train(concepts=["d2", "d1"]))
    run = RunFolder(labelled.settings.runs_folder / version.run_folder)
    spec, examples = run.spec(), list(read_manifest(run.manifest_file))
    assert [concept.id for concept in spec.concepts] == ["d2", "d1"]
    assert {label for example in examples for label in example.labels} == {"d1", "d2"}
    assert 0 < len(examples) < 60 and {example.split for example in examples} == {"train", "val", "test"}
    assert spec.threads == 1 and spec.estimated_seconds == 10.0 and spec.plan["epochs"] == 2
    assert Path(spec.tokens_folder) == labelled.settings.tokens_folder.absolute() and spec.token_cache_mb == 256
