"""`luthier templates` and `luthier weights`, as a person or a program calls them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from luthier.catalog import weights
from luthier.catalog.model_type import all_templates
from tests.catalog.hub import REVISION, serving
from tests.catalog.test_weights import safetensors

SAVE = """
import sys, torch, safetensors.torch
from luthier.engine.backbones import create
torch.manual_seed(0)
network = create(sys.argv[1], 7, 64)
safetensors.torch.save_file(network.state_dict(), sys.argv[2])
"""


def luthier(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUTHIER_", "HF_"))}
    settings = {"LUTHIER_WEIGHTS_DIR": str(folder), "HF_HOME": str(folder.parent / "hf")}
    command = [sys.executable, "-m", "luthier", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=kept | settings | environment, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def bn_inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A freshly initialised network of that name: it proves loading, not quality."""
    file = tmp_path_factory.mktemp("networks") / "fresh.safetensors"
    subprocess.run([sys.executable, "-c", SAVE, "luthier/bn_inception", str(file)], check=True)
    return file


# -- templates ---------------------------------------------------------------------------------------------------------


def test_templates_lists_what_trains(folder: Path) -> None:
    run = luthier("templates", folder=folder)
    assert run.returncode == 0, run.stderr
    assert "luthier_tiny_resnet" in run.stdout and "MMClassification_ResNet_50_RSB_A1 (recommended)" in run.stdout
    assert all(template.id in run.stdout for template in all_templates()) and "not trained" not in run.stdout


def test_templates_with_a_name_shows_every_hyperparameter(folder: Path) -> None:
    run = luthier("templates", "luthier_tiny_resnet", folder=folder)
    template = next(template for template in all_templates() if template.id == "luthier_tiny_resnet")
    for parameter in template.hyperparameters:
        assert parameter.name in run.stdout and parameter.description in run.stdout
    assert "a whole number from 1 to 1024" in run.stdout


def test_templates_as_json_hold_everything_that_is_declared(folder: Path) -> None:
    rows = json.loads(luthier("templates", "--json", folder=folder).stdout)
    assert [row["id"] for row in rows] == [template.id for template in all_templates()]
    one = json.loads(luthier("templates", "Clarifai_ResNext", "--json", folder=folder).stdout)
    sizes = next(row for row in one["hyperparameters"] if row["name"] == "image_size")
    assert (sizes["type"], sizes["default"], sizes["min"], sizes["max"], sizes["step"]) == ("RANGE", 256, 32, 1024, 16)
    own = luthier("templates", "MMDetection_AdvancedConfig", "--json", folder=folder)
    assert json.loads(own.stdout)["weights"] == "timm/resnet50.tv_in1k"


def test_templates_with_a_wrong_name_gets_the_nearest(folder: Path) -> None:
    run = luthier("templates", "luthier_tiny_rasnet", folder=folder)
    assert run.returncode == 2
    assert "luthier_tiny_resnet" in run.stderr and "Traceback" not in run.stderr


# -- weights -----------------------------------------------------------------------------------------------------------


def test_weights_list_gives_every_name_and_whether_it_is_here(folder: Path) -> None:
    rows = json.loads(luthier("weights", "list", "--json", folder=folder).stdout)
    assert [row["name"] for row in rows] == [name for name, _ in weights.needed()]
    assert not any(row["here"] for row in rows)
    assert "missing, add your own  luthier/bn_inception" in luthier("weights", "list", folder=folder).stdout


def test_weights_add_compares_with_the_network_and_records(folder: Path, bn_inception: Path) -> None:
    run = luthier("weights", "add", "luthier/bn_inception", str(bn_inception), "--json", folder=folder)
    assert run.returncode == 0, run.stderr
    recorded = json.loads(run.stdout.splitlines()[-1])
    assert recorded == json.loads((folder / "luthier" / "bn_inception" / "weights.json").read_text())
    rows = json.loads(luthier("weights", "list", "--json", folder=folder).stdout)
    row = next(row for row in rows if row["name"] == "luthier/bn_inception")
    assert row["here"] and row["sha256"] == recorded["sha256"]


def test_weights_of_another_network_are_refused(folder: Path, bn_inception: Path) -> None:
    run = luthier("weights", "add", "timm/resnet50.a1_in1k", str(bn_inception), folder=folder)
    assert run.returncode != 0
    assert "the file does not fit timm/resnet50.a1_in1k" in run.stderr
    assert "tensors missing, such as" in run.stderr and "Traceback" not in run.stderr
    assert weights.find(folder, "timm/resnet50.a1_in1k") is None


def test_weights_add_of_a_pickle_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"\x80\x04.")
    run = luthier("weights", "add", "mine/x", str(tmp_path / "model.pt"), folder=folder)
    assert run.returncode == 2 and "can run code" in run.stderr


# -- pulling -----------------------------------------------------------------------------------------------------------


def test_weights_pull_fetches_safetensors_and_json_only(folder: Path) -> None:
    asked: list[str] = []
    files = {"model.safetensors": safetensors(), "config.json": b"{}", "chat_template.jinja": b"{{ messages }}"}
    files["pytorch_model.bin"] = b"\x80\x04."
    with serving({"org/net": files}, asked) as address:
        run = luthier("weights", "pull", "org/net", "--json", folder=folder, HF_ENDPOINT=address)
    assert run.returncode == 0, run.stderr
    recorded = json.loads(run.stdout.splitlines()[-1])
    assert recorded["source"] == f"{address}/org/net@{REVISION}"
    assert {file.name for file in (folder / "org" / "net").iterdir()} == {
        "model.safetensors",
        "config.json",
        "chat_template.jinja",
        "weights.json",
    }
    assert not [path for path in asked if ".bin" in path]
    assert sorted(path.name for path in folder.iterdir()) == ["org"]


def test_weights_pull_does_without_a_config(folder: Path) -> None:
    with serving({"org/net": {"model.safetensors": safetensors()}}, []) as address:
        run = luthier("weights", "pull", "org/net", folder=folder, HF_ENDPOINT=address)
    assert run.returncode == 0, run.stderr
    assert not (folder / "org" / "net" / "config.json").exists()


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ({"org/net": {"pytorch_model.bin": b"\x80\x04."}}, "the hub's model has no model.safetensors"),
        ({}, "the hub has no such model, or it is private"),
        ({"org/net": {"model.safetensors": b"\x80\x04."}}, "is no safetensors file"),
    ],
)
def test_weights_pull_of_what_the_hub_cannot_give(folder: Path, models: dict[str, dict[str, bytes]], says: str) -> None:
    with serving(models, []) as address:
        run = luthier("weights", "pull", "org/net", folder=folder, HF_ENDPOINT=address)
    assert run.returncode != 0 and says in run.stderr, run.stderr
    assert "Traceback" not in run.stderr and weights.find(folder, "org/net") is None


def test_weights_pull_without_a_network_names_the_other_way(folder: Path) -> None:
    run = luthier("weights", "pull", "timm/resnet50.a1_in1k", folder=folder, HF_ENDPOINT="http://127.0.0.1:9")
    assert run.returncode != 0
    assert "the hub cannot be reached" in run.stderr and "luthier weights add timm/resnet50.a1_in1k PATH" in run.stderr


def test_weights_pull_asks_nobody_when_offline(folder: Path) -> None:
    asked: list[str] = []
    with serving({"org/net": {"model.safetensors": safetensors()}}, asked) as address:
        run = luthier("weights", "pull", "org/net", folder=folder, HF_ENDPOINT=address, LUTHIER_OFFLINE="1")
    assert run.returncode == 2 and "LUTHIER_OFFLINE" in run.stderr and asked == []


def test_weights_pull_of_our_own_network_asks_nobody(folder: Path) -> None:
    run = luthier("weights", "pull", "luthier/bn_inception", folder=folder, HF_ENDPOINT="http://127.0.0.1:9")
    assert run.returncode == 2 and "no hub has them" in run.stderr
