"""Networks by name; weights are loaded strictly or not at all; freezing freezes statistics too."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from luthier.engine import backbones
from luthier.errors import CorruptFile, InvalidTrainingParams, MissingWeights

TINY = "luthier/tiny_resnet"


def saved(tmp_path: Path, name: str, network: torch.nn.Module, **changes: torch.Tensor) -> Path:
    file = tmp_path / name / "model.safetensors"
    file.parent.mkdir(parents=True)
    safetensors.torch.save_file({**network.state_dict(), **changes}, file)
    return file


@pytest.mark.parametrize(
    ("name", "size", "millions"),
    [
        (TINY, 32, 0.31),
        ("luthier/cifar10_cnn", 32, 0.15),
        ("luthier/bn_inception", 64, 10.3),
        ("timm/resnet18", 32, 11.2),
    ],
)
def test_networks_answer_with_a_logit_per_concept(name: str, size: int, millions: float) -> None:
    network = backbones.create(name, 7, size).eval()
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 7)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.05)
    assert backbones.head_names(network) and backbones.head_of(network).out_features == 7


def test_weights_are_loaded_and_the_head_is_fresh(tmp_path: Path) -> None:
    original = backbones.create(TINY, 1000, 32)
    saved(tmp_path, "some/weights", original)
    loaded = backbones.build(TINY, 5, 32, str(tmp_path), "some/weights")
    theirs = original.state_dict()
    for name, tensor in loaded.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(tensor, theirs[name])
    assert loaded.head.out_features == 5


def test_missing_weights_are_named_with_the_command_that_adds_them(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"some/weights(.|\n)*luthier weights add"):
        backbones.build(TINY, 5, 32, str(tmp_path), "some/weights")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    network = backbones.create(TINY, 5, 32)
    short = {name: tensor for name, tensor in network.state_dict().items() if name != "stem.edges.weight"}
    file = tmp_path / "model.safetensors"
    safetensors.torch.save_file({**short, "extra": torch.zeros(1), "stage1.bn1.bias": torch.zeros(3)}, file)
    with pytest.raises(CorruptFile) as caught:
        backbones.load_weights(network, file)
    for part in ("1 missing, as stem.edges.weight", "1 unexpected, as extra", "1 mismatched, as stage1.bn1.bias"):
        assert part in caught.value.details


def test_weights_that_changed_since_they_were_added_are_refused(tmp_path: Path) -> None:
    network = backbones.create(TINY, 5, 32)
    file = saved(tmp_path, "some/weights", network)
    (file.parent / "weights.json").write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(CorruptFile, match="has changed since it was added"):
        backbones.build(TINY, 5, 32, str(tmp_path), "some/weights")


@pytest.mark.parametrize(
    ("name", "size"), [("resnet50", 32), ("timm/no_such_network", 32), ("luthier/none", 32), ("timm/", 32)]
)
def test_unknown_networks_are_refused(name: str, size: int) -> None:
    with pytest.raises(InvalidTrainingParams, match="backbone is"):
        backbones.create(name, 2, size)


def test_bad_H6_image_size_that_is_no_multiple_of_the_patch_names_the_nearest() -> None:
    with pytest.raises(InvalidTrainingParams, match="multiples of 14: the nearest is 98"):
        backbones.create("timm/vit_small_patch14_dinov2", 2, 100)


def test_position_embeddings_follow_the_picture_size(tmp_path: Path) -> None:
    large = backbones.create("timm/vit_small_patch14_dinov2", 0, 56)
    small = backbones.create("timm/vit_small_patch14_dinov2", 3, 28)
    saved(tmp_path, "vit", large)
    backbones.load_weights(small, tmp_path / "vit" / "model.safetensors")
    assert small.pos_embed.shape[1] == 5
    assert torch.equal(small.pos_embed[:, 0], large.pos_embed[:, 0])
    assert torch.equal(small.blocks[0].attn.qkv.weight, large.blocks[0].attn.qkv.weight)


def test_check_command_says_whether_weights_fit(tmp_path: Path) -> None:
    file = saved(tmp_path, "w", backbones.create(TINY, 9, 32))
    answers = [_check(TINY, file), _check("luthier/cifar10_cnn", file)]
    assert answers[0] == {"ok": True, "missing": [], "unexpected": [], "mismatched": []}
    assert not answers[1]["ok"] and "conv1.weight" in answers[1]["missing"]


def _check(name: str, file: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "luthier.engine.backbones", "--check", name, str(file)]
    answer: dict[str, object] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answer
