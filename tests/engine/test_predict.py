"""Serving, judging, measuring: the engine's other programs, as the platform starts them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from luthier.engine.doctor import findings
from luthier.engine.estimate import estimate
from luthier.engine.evaluate import evaluate
from luthier.engine.journal import Journal
from luthier.engine.predict import Predictor, _outputs
from luthier.engine.process import StopRequest
from luthier.errors import CorruptFile
from luthier.runs.frames import read_frame, write_frame
from luthier.runs.run import RunFolder
from tests.engine.runs import Pictures, finished, make_run, spec_of, train_here


@pytest.fixture(scope="module")
def trained(digits: Pictures, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = make_run(tmp_path_factory.mktemp("trained") / "run", digits[:300], spec_of("run", given={"num_epochs": 6}))
    finished(train_here(run))
    return run


def test_predictions_are_probabilities_in_the_order_of_the_concepts(trained: RunFolder, digits: Pictures) -> None:
    predictor = Predictor(trained, trained.checkpoints / "best")
    outputs = predictor.answer("image", [data for _, data in digits[:50]])
    right = 0
    for output, (label, _) in zip(outputs, digits[:50], strict=True):
        values = output["values"]
        assert sum(values) == pytest.approx(1, abs=1e-5)
        right += values.index(max(values)) == int(label)
    assert right >= 45


def test_bad_D1_one_unreadable_picture_does_not_spoil_the_others(trained: RunFolder, digits: Pictures) -> None:
    predictor = Predictor(trained, trained.checkpoints / "best")
    outputs = predictor.answer("image", [digits[0][1], b"", b"text", digits[1][1][:60], digits[1][1]])
    assert ["values" in output for output in outputs] == [True, False, False, False, True]
    assert {output["error"] for output in outputs if "error" in output} <= {30101, 30300, 47104}
    alone = predictor.answer("image", [digits[1][1]])
    assert outputs[4]["values"] == pytest.approx(alone[0]["values"], abs=1e-5)


def test_bad_E9_text_for_a_picture_model(trained: RunFolder) -> None:
    output = Predictor(trained, trained.checkpoints / "best").answer("text", [b"hello"])[0]
    assert output["error"] == 30101
    assert "this model takes image" in output["details"]


def test_process_answers_frames_until_the_pipe_closes(trained: RunFolder, digits: Pictures) -> None:
    command = [sys.executable, "-m", "luthier.engine.predict", str(trained.path), str(trained.checkpoints / "best")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        ready = read_frame(process.stdout)
        assert ready and ready[0]["ready"]
        assert ready[0]["concepts"][3] == {"id": "3", "name": "name of 3"}
        write_frame(process.stdin, {"kind": "image"}, [digits[0][1], b"junk"])
        answer = read_frame(process.stdout)
        assert answer
        assert len(answer[0]["outputs"][0]["values"]) == 10
        assert answer[0]["outputs"][1]["error"] == 30101
        process.stdin.close()
        assert process.wait(20) == 0


def test_an_error_of_torch_is_an_answer_and_the_process_lives_on(
    trained: RunFolder, digits: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(trained, trained.checkpoints / "best")
    picture = digits[0][1]
    with monkeypatch.context() as patch:
        patch.setattr(predictor.network, "forward", lambda *_: torch.zeros(2)[torch.tensor([2])])
        (output,) = _outputs(predictor, "image", [picture], {})
    assert output["error"] == 21313 and output["details"].startswith("IndexError: ")
    assert "values" in _outputs(predictor, "image", [picture], {})[0]


def test_damaged_checkpoint_is_not_served(trained: RunFolder, tmp_path: Path) -> None:
    copy = tmp_path / "best"
    copy.mkdir()
    for file in (trained.checkpoints / "best").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    with pytest.raises(CorruptFile, match="has changed since it was written"):
        Predictor(trained, copy)


def test_evaluation_judges_every_example_of_a_manifest(trained: RunFolder) -> None:
    report = evaluate(trained, trained.checkpoints / "best", trained.manifest_file)
    assert report["examples"] == 300
    assert report["metrics"]["accuracy"] > 0.9
    assert json.dumps(report)


def test_estimate_measures_real_steps_without_data_or_weights(tmp_path: Path) -> None:
    plan = {"image_size": 32, "batch_size": 4}
    spec = spec_of("run", "MMClassification_ResNet_50_RSB_A1", plan=plan, estimate_only=True, weights_folder="/nowhere")
    run = make_run(tmp_path / "run", [], spec)
    journal = Journal(run, echo=False)
    estimate(run, journal, StopRequest(journal), 0.0)
    report = run.report()
    for key in ("seconds_per_step", "seconds_per_validation_item", "start_seconds", "checkpoint_seconds"):
        assert report[key] > 0
    assert report["device"].startswith("cpu")
    assert not list(run.checkpoints.iterdir())


def test_doctor_finds_torch_and_a_device() -> None:
    found = findings()
    assert found["devices"][0]["id"] == "cpu"
    assert found["threads"] >= 1
    assert isinstance(found["bf16"], bool)
