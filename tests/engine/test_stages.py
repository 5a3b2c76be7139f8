"""Stages: what learns, in which epoch; frozen statistics stay; every network that a template names has stages."""

from typing import Any

import pytest
import torch
from torch import nn

from luthier.catalog.plan import EmbeddingPlan, Plan, SegmentationPlan
from luthier.engine import backbones, embedder
from luthier.engine.heads import with_head
from luthier.engine.segmentation import networks as segmenters
from luthier.engine.small_networks import ResidualBlock
from luthier.engine.stages import freeze, learning_stages, stages_of, training_mode

TINY = "luthier/tiny_resnet"
PARTS = ["stem", "stage1", "stage2", "stage3", "head"]


def plan(**fields: Any) -> Plan:
    return Plan(epochs=9, batch_size=2, learning_rate=0.1, **fields)


def learning(network: nn.Module) -> list[str]:
    names = [name.partition(".")[0] for name, parameter in network.named_parameters() if parameter.requires_grad]
    return list(dict.fromkeys(names))


@pytest.mark.parametrize(("trained", "parts"), [("head", 1), ("last_1", 2), ("last_3", 4), ("last_4", 5), ("all", 5)])
def test_the_head_and_the_last_stages_learn(trained: str, parts: int) -> None:
    network = backbones.create(TINY, 3, 32)
    freeze(network, plan(trainable_layers=trained), 9)
    assert learning(network) == PARTS[-parts:]


def test_stages_thaw_one_after_another_the_last_first() -> None:
    network = backbones.create(TINY, 3, 32)
    thawing = plan(unfreeze_every_epochs=2)
    found = []
    for epoch in range(9):
        freeze(network, thawing, epoch)
        found.append(len(learning(network)))
    assert found == [1, 1, 2, 2, 3, 3, 4, 4, 5]
    bounded = plan(unfreeze_every_epochs=1, trainable_layers="last_2")
    assert [learning_stages(bounded, 4, epoch) for epoch in range(5)] == [0, 1, 2, 2, 2]


@pytest.mark.parametrize("trained", ["head", "last_1"])
def test_frozen_batch_norms_keep_their_statistics(trained: str) -> None:
    network = backbones.create(TINY, 3, 32)
    training_mode(network, plan(trainable_layers=trained), 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network(torch.randn(4, 3, 32, 32)).sum().backward()
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.partition(".")[0] for name in moved} == ({"stage3"} if trained == "last_1" else set())
    graded = {name.partition(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert graded == ({"head"} if trained == "head" else {"stage3", "head"})


def test_a_module_is_in_training_mode_as_long_as_anything_in_it_learns() -> None:
    network = backbones.create("timm/resnet10t", 3, 32)
    training_mode(network, plan(trainable_layers="last_1"), 0)
    mode = {name: module.training for name, module in network.named_modules()}
    assert mode[""] and mode["layer4"] and mode["layer4.0.bn1"] and mode["fc"]
    assert not any(mode[name] for name in ("conv1", "bn1", "layer1", "layer3", "layer3.0.bn1"))


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("timm/resnet10t", 5, "conv1.", "layer4."),
        ("timm/vit_tiny_patch16_224", 12, "pos_embed", "norm."),
        ("timm/convnext_atto", 4, "stem.", "head.norm."),
        ("timm/efficientnet_b0", 5, "conv_stem.", "conv_head."),
        ("timm/vgg11", 6, "features.0.", "pre_logits."),
        ("luthier/bn_inception", 5, "conv1.", "mod5b."),
        ("luthier/cifar10_cnn", 4, "conv1.", "dense."),
    ],
)
def test_networks_have_the_stages_that_their_makers_name(name: str, count: int, first: str, last: str) -> None:
    with torch.device("meta"):
        network = backbones.create(name, 3, 224)
    stages = stages_of(network)
    assert stages.count == count
    of = {parameter: stages.of_parameter(parameter) for parameter, _ in network.named_parameters()}
    assert set(of.values()) == set(range(count + 1))
    assert {stage for parameter, stage in of.items() if parameter.startswith(first)} == {0}
    assert {stage for parameter, stage in of.items() if parameter.startswith(last)} == {count - 1}
    assert all((of[parameter] == count) == (parameter in backbones.head_names(network)) for parameter in of)


def test_of_a_language_model_each_layer_is_a_stage() -> None:
    from transformers import BertConfig, BertModel

    class Texts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            small = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 8}
            self.body = BertModel(BertConfig(vocab_size=9, **small))
            self.head = nn.Linear(8, 2)

        def get_classifier(self) -> nn.Module:
            return self.head

    stages = stages_of(Texts())
    assert stages.count == 3
    assert stages.of_parameter("body.embeddings.word_embeddings.weight") == 0
    assert stages.of_parameter("body.encoder.layer.2.output.dense.weight") == 2


def test_a_head_with_hidden_layers_answers_as_many_concepts_and_keeps_its_name() -> None:
    network = with_head(backbones.create("timm/resnet10t", 7, 32), 2, 16, 0.1)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert {"fc.weight", "fc.bias", "fc.hidden.0.0.weight", "fc.hidden.1.0.bias"} <= backbones.head_names(network)
    assert network.get_submodule("fc").weight.shape == (7, 16)


def test_stochastic_depth_skips_blocks_in_training_alone() -> None:
    torch.manual_seed(0)
    network = backbones.create(TINY, 3, 32, stochastic_depth=0.9)
    images = torch.randn(8, 3, 32, 32)
    network.eval()
    assert torch.equal(network(images), network(images))
    network.train()
    assert not torch.equal(network(images), network(images))


def test_a_segmenters_blocks_are_skipped_the_more_often_the_later_they_are_computed() -> None:
    wanted = SegmentationPlan(epochs=1, batch_size=2, learning_rate=0.1, stochastic_depth=0.7)
    network = segmenters.build("luthier/tiny_segmenter", 2, wanted).eval()
    computed: list[float] = []
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.register_forward_hook(lambda block, images, maps: computed.append(block.skipped))
    network(torch.zeros(1, 3, 64, 96))
    assert computed == pytest.approx([0.1 * place for place in range(8)])


@pytest.mark.parametrize(("chance", "skipped"), [(0.0, False), (0.2, True)])
def test_an_embedders_body_has_the_stochastic_depth_of_the_plan(chance: float, skipped: bool) -> None:
    wanted = EmbeddingPlan(epochs=1, batch_size=2, learning_rate=0.1, image_size=32, stochastic_depth=chance)
    with torch.device("meta"):
        network = embedder.build("timm/resnet10t", 2, wanted, "", "")
    assert any(type(module).__name__ == "DropPath" for module in network.modules()) == skipped


# -- going on from an earlier model ------------------------------------------------------------------------------------


def carried(before: nn.Module, after: nn.Module, previous: list[str], concepts: list[str]) -> backbones.CarriedOver:
    tensors = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    found = backbones.load_previous(after, tensors, previous, concepts)
    own = after.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in tensors.items() if not name.startswith("head."))
    return found


def test_a_head_with_the_same_hidden_layers_is_carried_over_by_concept() -> None:
    before = with_head(backbones.create(TINY, 2, 32), 1, 8, 0.0)
    after = with_head(backbones.create(TINY, 3, 32), 1, 8, 0.5)
    assert carried(before, after, ["a", "b"], ["b", "c", "a"]) == backbones.CarriedOver(known=2)
    assert torch.equal(after.head.weight[[2, 0]], before.head.weight)  # type: ignore[index, union-attr]
    assert torch.equal(after.head.hidden[0][0].weight, before.head.hidden[0][0].weight)  # type: ignore[index, union-attr]


@pytest.mark.parametrize(
    ("before", "after"), [((0, 8), (1, 8)), ((1, 8), (0, 8)), ((1, 8), (2, 8)), ((1, 128), (0, 8))]
)
def test_a_head_of_another_shape_learns_anew_on_the_same_backbone(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    networks = [with_head(backbones.create(TINY, 2, 32), *shape, 0.0) for shape in (before, after)]
    assert carried(*networks, ["a", "b"], ["a", "b"]) == backbones.CarriedOver(known=0, fresh=True)


def test_another_backbone_cannot_be_gone_on_from() -> None:
    tensors = dict(backbones.create("luthier/cifar10_cnn", 2, 32).state_dict())
    with pytest.raises(backbones.CorruptFile, match="does not fit this network"):
        backbones.load_previous(backbones.create(TINY, 2, 32), tensors, ["a", "b"], ["a", "b"])
