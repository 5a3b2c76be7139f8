"""The predictors with the real engine: a small network trained on digits, served, killed, damaged."""

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from luthier.errors import PredictionFailed
from luthier.predictors.model_process import ModelProcess
from luthier.runs.run import RunFolder
from tests.engine.runs import finished, make_run, spec_of, train_here
from tests.predictors.processes import Predictors

Digits = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def trained(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    """A run and its served checkpoint."""
    given = {"num_epochs": 6, "batch_size": 32}
    run = make_run(tmp_path_factory.mktemp("runs") / "digits", digits[:600], spec_of("digits", given=given))
    return run, finished(train_here(run)).checkpoint


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Predictors]:
    server = Predictors(tmp_path / "data", "luthier.engine.predict")
    yield server
    server.end()


def test_digits_are_recognised_alike_alone_and_in_batches(
    served: Predictors, trained: tuple[RunFolder, str], digits: Digits
) -> None:
    run, checkpoint = trained
    unseen = digits[1000:1100]
    outputs = served.client.predict(run.path, checkpoint, "image", [data for _, data in unseen], wait_seconds=120)
    values = np.array([output["values"] for output in outputs])
    assert values.shape == (100, 10)
    assert np.allclose(values.sum(axis=1), 1, atol=1e-4)
    labels = np.array([int(label) for label, _ in unseen])
    assert (values.argmax(axis=1) == labels).mean() > 0.6

    def ask(picture: tuple[str, bytes]) -> list[float]:
        return served.client.predict(run.path, checkpoint, "image", [picture[1]])[0]["values"]

    with ThreadPoolExecutor(8) as threads:
        assert np.allclose(np.array(list(threads.map(ask, unseen))), values, atol=1e-4)


def test_bad_pictures_and_other_kinds_get_their_own_error(
    served: Predictors, trained: tuple[RunFolder, str], digits: Digits
) -> None:
    run, checkpoint = trained
    good = digits[0][1]
    files = [good, good[:50], b"", b"a text", good]
    outputs = served.client.predict(run.path, checkpoint, "image", files, wait_seconds=120)
    assert [output.get("error") for output in outputs] == [None, 47104, 30300, 30101, None]
    assert "ends early at byte 50" in outputs[1]["details"]
    assert served.client.predict(run.path, checkpoint, "text", [b"hello"])[0]["error"] == 30101


def test_p38_kill_9_of_the_real_model_process(
    served: Predictors, trained: tuple[RunFolder, str], digits: Digits
) -> None:
    run, checkpoint = trained
    first = served.client.predict(run.path, checkpoint, "image", [digits[0][1]], wait_seconds=120)
    for pid in _model_processes(served.process.pid):
        os.kill(pid, signal.SIGKILL)
    again = served.client.predict(run.path, checkpoint, "image", [digits[0][1]], wait_seconds=120)
    assert np.allclose(first[0]["values"], again[0]["values"])


def _model_processes(parent: int) -> list[int]:
    pids = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(after_name[1]) == parent:
            pids.append(int(status.parent.name))
    return pids


def test_p38_a_corrupt_artefact_is_named(
    served: Predictors, trained: tuple[RunFolder, str], digits: Digits, tmp_path: Path
) -> None:
    run, checkpoint = trained
    broken = tmp_path / "broken"
    shutil.copytree(run.path, broken)
    weights = broken / checkpoint / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(PredictionFailed) as raised:
        served.client.predict(broken, checkpoint, "image", [digits[0][1]], wait_seconds=120)
    assert raised.value.code == 21313
    assert "broken/" in raised.value.details and "model.safetensors" in raised.value.details
    assert str(tmp_path) not in raised.value.details
    assert served.client.predict(run.path, checkpoint, "image", [digits[0][1]], wait_seconds=120)[0]["values"]


def test_a_missing_checkpoint_is_named(served: Predictors, trained: tuple[RunFolder, str]) -> None:
    run, _ = trained
    with pytest.raises(PredictionFailed, match="digits/checkpoints/gone") as raised:
        served.client.predict(run.path, "checkpoints/gone", "image", [b"x"], wait_seconds=120)
    assert str(run.path.parent) not in raised.value.details


def test_one_model_process_by_itself_as_the_command_line_uses_it(
    trained: tuple[RunFolder, str], digits: Digits
) -> None:
    run, checkpoint = trained
    with ModelProcess(run.path, checkpoint) as model:
        assert [concept["id"] for concept in model.concepts] == [str(digit) for digit in range(10)]
        assert len(model.predict("image", [digits[0][1]])[0]["values"]) == 10
        pid = model.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
