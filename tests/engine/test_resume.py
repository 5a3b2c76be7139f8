"""A training that is killed or stopped goes on from its last checkpoint and ends with the same bytes."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from luthier.engine.session import open_session
from luthier.runs.events import Checkpointed, Finished, Started, StepDone, Stopped
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import (
    Pictures,
    events_of,
    finished,
    hashes_of_weights,
    kill,
    make_run,
    spec_of,
    start_engine,
    train_here,
    wait_for,
)


def spec(name: str, **plan: object) -> RunSpec:
    """All that is random: order, augmentation, mixing; a checkpoint nearly every step; averaged weights."""
    given = {"num_epochs": 4, "batch_size": 16, "rotate_degrees": 10, "random_augment": 3, "mixup_alpha": 0.2}
    return spec_of(name, given=given, plan={"checkpoint_seconds": 0.02, "ema_decay": 0.9, **plan})


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def test_five_kills_end_with_the_same_bytes(digits: Pictures, tmp_path: Path) -> None:
    quiet = make_run(tmp_path / "quiet", digits[:200], spec("a"))
    finished(train_here(quiet))
    disturbed = make_run(tmp_path / "disturbed", digits[:200], spec("a"))
    dice = random.Random(5)
    for number in range(5):
        process = start_engine(disturbed)
        wait_for(disturbed, Started, process, count=number + 1)
        if number == 3:
            wait_for(disturbed, Checkpointed, process)
        time.sleep(dice.uniform(0, 0.25))
        kill(process)
    process = start_engine(disturbed)
    assert process.wait(120) == 0, process.stdout.read() if process.stdout else ""

    assert hashes_of_weights(disturbed) == hashes_of_weights(quiet)
    assert max(event.step for event in events_of(disturbed) if isinstance(event, Started)) > 0, (
        "no kill came late enough"
    )
    assert not [path for path in disturbed.checkpoints.iterdir() if path.name.startswith(".")]


def test_a_run_killed_after_its_end_is_finished_again(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:100], spec("a"))
    first = finished(train_here(run))
    before = hashes_of_weights(run)
    run.report_file.unlink()
    again = finished(train_here(run))
    assert again.metrics == first.metrics
    assert hashes_of_weights(run) == before
    assert run.report()["metrics"]["test"] == first.metrics


def test_sigterm_saves_where_it_stands_and_loses_no_step(digits: Pictures, tmp_path: Path) -> None:
    quiet = make_run(tmp_path / "quiet", digits[:200], spec("a", optimizer="lamb", checkpoint_seconds=60.0))
    finished(train_here(quiet))
    run = make_run(tmp_path / "run", digits[:200], spec("a", optimizer="lamb", checkpoint_seconds=60.0))
    process = start_engine(run)
    wait_for(run, StepDone, process)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert time.monotonic() - asked < 3
    stopped = events_of(run)[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.step > 0
    assert (run.path / stopped.checkpoint / "model.safetensors").exists()

    events = train_here(run)
    assert [event.step for event in events if isinstance(event, Started)] == [0, stopped.step]
    assert hashes_of_weights(run) == hashes_of_weights(quiet)


def test_the_engine_ends_when_its_supervisor_closes_the_pipe(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:200], spec_of("a", given={"num_epochs": 500}))
    process = start_engine(run, "--supervised", stdin=subprocess.PIPE)
    wait_for(run, Started, process)
    assert process.stdin
    process.stdin.close()
    process.wait(10)
    assert not isinstance(events_of(run)[-1], Finished)
    assert "Training 500 epochs" in run.log_file.read_text()


def test_two_engines_never_work_in_one_run_folder(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from luthier.engine import process
    from luthier.errors import JobConflict

    run = make_run(tmp_path / "run", digits[:20], spec_of("a"))
    monkeypatch.setattr(process, "LOCK_SECONDS", 0.1)
    with process.locked(run), pytest.raises(JobConflict, match="another engine works in"), process.locked(run):
        pass
    with process.locked(run):  # free again
        pass


def test_a_standby_engine_trains_the_folder_it_is_handed(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:40], spec_of("a", given={"num_epochs": 1}))
    process = start_engine(RunFolder(Path("--standby")), stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(b'{"run": "%s"}\n' % str(run.path).encode())
    process.stdin.flush()
    assert process.wait(60) == 0, run.log_file.read_text()
    assert finished(events_of(run)).epochs == 1


def test_a_damaged_checkpoint_is_passed_over_and_logged(digits: Pictures, tmp_path: Path) -> None:
    quiet = make_run(tmp_path / "quiet", digits[:100], spec("a"))
    finished(train_here(quiet))
    run = make_run(tmp_path / "run", digits[:100], spec("a"))
    process = start_engine(run)
    wait_for(run, Checkpointed, process, count=4)
    kill(process)
    newest = max(run.checkpoints.glob("step-*"))
    damage(newest / "model.safetensors")

    events = train_here(run)
    finished(events)
    assert f"{newest / 'model.safetensors'} has changed since it was written" in run.log_file.read_text()
    assert hashes_of_weights(run) == hashes_of_weights(quiet)


def test_where_the_best_weights_are_lost_no_report_claims_their_metrics(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:60], spec("a"))
    finished(train_here(run))
    assert run.report()["best_epoch"] > 0 and "val" in run.report()["metrics"]
    session = open_session(run, print)
    damage(run.checkpoints / "best" / "model.safetensors")
    session.load_best()
    session.data.close()
    assert (session.progress.best_epoch, session.progress.best_rank, session.progress.best_metrics) == (0, [], {})

    damage(run.checkpoints / "best" / "model.safetensors")  # which load_best has written anew
    finished(train_here(run))
    assert "The best checkpoint is lost" in run.log_file.read_text()
    assert run.report()["best_epoch"] == 0 and run.report()["metrics"].keys() == {"test"}


def test_saving_takes_a_small_share_of_short_epochs(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that takes a second is not written after each of many epochs of milliseconds, and yet at the end."""
    from luthier.engine import checkpoint

    honest = checkpoint._replace

    def slow(temporary: Path, folder: Path) -> None:
        time.sleep(0.3)
        honest(temporary, folder)

    monkeypatch.setattr(checkpoint, "_replace", slow)
    run = make_run(tmp_path / "run", digits[:20], spec_of("a", given={"num_epochs": 30, "batch_size": 16}))
    events = train_here(run)
    assert finished(events).epochs == 30
    assert len([event for event in events if isinstance(event, Checkpointed)]) < 10
    assert (run.checkpoints / "last" / "optimizer.safetensors").exists()


HANGING = """
import pathlib, sys, time
from luthier.engine import process, train
from luthier.engine.recipes.image_classification import ImageClassification
from luthier.runs.run import RunFolder

honest, calls = ImageClassification.loss, iter(range(10**6))

def loss_that_never_comes(self, network, batch):
    while next(calls) == 5:
        time.sleep(600)
    return honest(self, network, batch)

ImageClassification.loss = loss_that_never_comes
sys.exit(process.live(RunFolder(pathlib.Path(sys.argv[1])), train.train, time.monotonic(), supervised=True))
"""


def test_P13_an_engine_that_hangs_leaves_its_stacks_in_the_log_and_ends(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run", digits[:200], spec_of("a", given={"num_epochs": 1, "batch_size": 8}, hang_seconds=1)
    )
    with subprocess.Popen([sys.executable, "-c", HANGING, str(run.path)], stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 1
    assert not isinstance(events_of(run)[-1], Finished)
    assert "loss_that_never_comes" in run.log_file.read_text()
    assert finished(train_here(run)).step == 20, "another attempt goes on"
