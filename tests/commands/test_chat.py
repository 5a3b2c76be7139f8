"""`luthier train` on JSON lines of conversations, `luthier predict` and `luthier chat` with what has come of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from luthier.commands.command_line import run
from luthier.data.readers.settle import text_bytes
from tests.commands.test_train import luthier
from tests.recipes.test_text_generators import LEARNS, WEIGHTS, examples, weights_of

TRAINER = {
    "num_train_epochs": 40,
    "per_device_train_batch_size": LEARNS["batch_size"],
    "learning_rate": LEARNS["learning_rate"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, trained by the command line from JSON lines."""
    root = tmp_path_factory.mktemp("chats")
    weights = weights_of(root / "weights", chats=True)
    lines = [json.loads(text_bytes(row)) | {"split": row.split} for row in examples()]
    (root / "chats.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    settings = {"model_config": {"pretrained_model_name_or_path": WEIGHTS}, "trainer_config": TRAINER}
    answer = luthier(
        "train", "--data", str(root / "chats.jsonl"), "--template", "HuggingFace_AdvancedConfig",
        "--model-type", "text-to-text", "--weights-dir", str(weights), "--out", str(root / "run"), "--json",
        "--device", "cpu", "--threads", "1", "--seed", "7", "--set", "judge_answers=true",
        *(part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")),
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "36 texts" in answer.stderr and "classes" not in answer.stderr
    metrics = json.loads(answer.stdout.splitlines()[-1])["metrics"]
    assert metrics["exact_match"] > 0.9 and metrics["perplexity"] < 1.5
    return root / "run"


def test_chat_answers_each_line_as_it_is_written(trained: Path) -> None:
    lines = "We went to Oslo by train.\n\n/new\nMy aunt lives in Lima.\n/bye\nnever read\n"
    command = [sys.executable, "-m", "luthier", "chat", "--model", str(trained), "--temperature", "0"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"city": "Oslo"}, {"city": "Lima"}]


def test_predict_writes_an_answer_per_file(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.txt").write_text("Is Kyoto far from here?", encoding="utf-8")
    assert run(["predict", "--model", str(trained), "--json", str(tmp_path / "one.txt")]) == 0
    row = json.loads(capfd.readouterr().out)
    assert json.loads(row["text"]) == {"city": "Kyoto"} and row["finish"] == "end"


def test_only_a_text_generator_can_be_talked_to(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = json.loads((trained / "run.json").read_text(encoding="utf-8")) | {"model_type": "text-classifier"}
    (tmp_path / "run.json").write_text(json.dumps(spec), encoding="utf-8")
    (tmp_path / "checkpoints" / "best").mkdir(parents=True)
    assert run(["chat", "--model", str(tmp_path)]) == 2
    assert "is a text-classifier; only a text-to-text model can be talked to" in capsys.readouterr().err


def test_pictures_are_no_texts_to_learn_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.jsonl").write_text('{"image": "a.png", "label": "x"}\n', encoding="utf-8")
    weights_of(tmp_path / "weights")
    given = ["--template", "HuggingFace_AdvancedConfig", "--model-type", "text-to-text", "--out", str(tmp_path / "run")]
    base = json.dumps({"pretrained_model_name_or_path": WEIGHTS})
    given += ["--weights-dir", str(tmp_path / "weights"), "--set", f"model_config={base}"]
    assert run(["train", "--data", str(tmp_path / "data.jsonl"), *given]) == 2
    assert "holds pictures: it can be read, but this template learns to write texts" in capsys.readouterr().err
