"""Gradient checkpointing: less is kept in memory, and the result is the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from luthier.engine import backbones, checkpoint, language_models
from luthier.engine.recomputation import blocks_of, enable
from tests.engine.runs import Pictures, finished, make_run, spec_of, train_here
from tests.recipes.tiny_language_models import tiny_model


def kept_bytes(network: nn.Module, pictures: torch.Tensor) -> int:
    """Of what autograd keeps for the backward pass."""
    kept = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(pictures).sum().backward()
    return kept


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("luthier/tiny_resnet", 3), ("timm/test_resnet", 3), ("timm/test_vit", 6), ("timm/test_efficientnet", 4)],
)
def test_blocks_keep_less_and_give_the_same_gradients(name: str, blocks: int) -> None:
    torch.manual_seed(0)
    network = backbones.create(name, 3, 160)
    assert len(blocks_of(network)) >= blocks
    pictures = torch.rand(2, 3, 160, 160)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    plain = kept_bytes(network, pictures)
    gradients = [parameter.grad for parameter in network.parameters()]
    statistics = {key: value.clone() for key, value in network.state_dict().items()}

    network.load_state_dict(before)
    network.zero_grad()
    assert "blocks are computed twice" in enable(network)
    assert kept_bytes(network, pictures) < 0.8 * plain
    for own, other in zip(gradients, network.parameters(), strict=True):
        assert torch.allclose(own, other.grad, atol=1e-4, rtol=1e-3)
    for key, value in network.state_dict().items():
        assert torch.equal(value, statistics[key]), f"{key}: a batch counts once"


def test_a_network_without_repeated_blocks_says_so() -> None:
    assert "changes nothing" in enable(backbones.create("luthier/cifar10_cnn", 3, 32))


def test_a_training_ends_with_the_same_weights(digits: Pictures, tmp_path: Path) -> None:
    tensors: list[dict[str, Any]] = []
    for name, switched in (("plain", False), ("twice", True)):
        spec = spec_of("a", given={"num_epochs": 1}, plan={"gradient_checkpointing": switched, "ema_decay": 0.9})
        run = make_run(tmp_path / name, digits[:40], spec)
        finished(train_here(run))
        assert ("computed twice" in run.log_file.read_text()) == switched
        tensors.append(checkpoint.read_tensors(run.checkpoints / "best" / checkpoint.MODEL))
    for name, tensor in tensors[0].items():
        assert torch.allclose(tensor, tensors[1][name], atol=1e-5), name


@pytest.mark.parametrize("family", ["bert", "gpt_neo", "llama"])
def test_blocks_of_language_models_give_the_same_gradients(family: str, tmp_path: Path) -> None:
    """Decoders keep what they have read for the next token; a block that is computed twice must not do so twice."""
    folder = tiny_model(tmp_path / family, ["a puzzle with cards"], family)
    torch.manual_seed(0)
    body = language_models.body_of(language_models.config_of(folder), None).eval()
    tokens = torch.tensor([[2, 4, 5, 6, 7], [2, 7, 4, 5, 3]])

    def gradients() -> list[torch.Tensor]:
        body.zero_grad()
        body(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state.pow(2).mean().backward()
        return [parameter.grad for parameter in body.parameters() if parameter.grad is not None]

    plain = gradients()
    assert "2 blocks are computed twice" in enable(body)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(plain, gradients(), strict=True))
