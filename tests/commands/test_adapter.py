"""`luthier adapter`: the files it leaves, and what it says where there is nothing to write."""

import json
from pathlib import Path

import pytest

from luthier.catalog import weights
from luthier.commands.command_line import run
from luthier.runs.prepare import prepare
from tests.engine.runs import finished, spec_of, train_here
from tests.recipes.test_text_classifiers import CONCEPTS, SUBJECTS, examples
from tests.recipes.tiny_language_models import tiny_model

LORA = "HF_GPTNeo_125m_lora"


def test_writes_an_adapter_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "weights"
    base = weights.folder(root, "EleutherAI/gpt-neo-125m")
    tiny_model(base, [text for texts in SUBJECTS.values() for text in texts], "gpt_neo")
    kept = {"model_type": "text-classifier", "weights_folder": str(root), "concepts": tuple(CONCEPTS)}
    spec = spec_of("run", LORA, {"trainer_config": {"num_train_epochs": 1}}, **kept)
    made = prepare(tmp_path / "run", spec, examples(), weights.assets(root, spec.weights))
    finished(train_here(made))

    out = tmp_path / "out"
    assert run(["adapter", "--model", str(made.path), "--out", str(out)]) == 0
    assert "adapter_model.safetensors" in capsys.readouterr().out
    config = json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["peft_type"], config["task_type"]) == ("LORA", "SEQ_CLS")
    assert config["base_model_name_or_path"] == "EleutherAI/gpt-neo-125m"

    assert run(["adapter", "--model", str(made.path), "--out", str(out)]) != 0
    assert "is there already; name a folder that is not" in capsys.readouterr().err


def test_a_folder_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["adapter", "--model", str(tmp_path), "--out", str(tmp_path / "out")]) != 0
    assert "there is no run in this folder" in capsys.readouterr().err
