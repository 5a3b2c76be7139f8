"""RT-DETRv2 and D-FINE: published files are read whatever their names, heads start afresh, broken ones are refused.

`test_visual_detectors` trains, judges and serves them beside the others. Next: `tiny_query_detectors`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from luthier.catalog import weights
from luthier.catalog.plan import DetectionPlan
from luthier.engine.detection import networks
from luthier.engine.detection.detector import Target
from luthier.engine.detection.queries import QueryDetector
from luthier.engine.stages import stages_of, training_mode
from luthier.errors import CorruptFile, MissingWeights
from tests.recipes.tiny_query_detectors import TINY

Tensors = dict[str, torch.Tensor]
COCO_CONCEPTS = 80
PLAN = DetectionPlan(1, 1, 0.1, still_norms=True)
OLD_NAMES = (  # how files were published before the library renamed its parts
    (".o_proj.", ".out_proj."), (".mlp.fc1.", ".fc1."), (".mlp.fc2.", ".fc2."),
    (".mlp.layers.0.", ".fc1."), (".mlp.layers.1.", ".fc2."), ("encoder.aifi.", "encoder.encoder."),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, make in TINY.items():
        monkeypatch.setitem(networks.WITH_QUERIES, name, make)


def published(folder: Path, make: Callable[[int], Any], change: Callable[[Tensors], Tensors]) -> Tensors:
    """Adds weights "org/whole" as they are on hubs; returns the tensors by today's names."""
    torch.manual_seed(3)
    network = QueryDetector(make(COCO_CONCEPTS))
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor))
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    old = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    for new_part, old_part in OLD_NAMES:
        layered = [name for name in old if new_part in name and (".layers." in name.split(new_part)[0])]
        for name in layered:
            old[name.replace(new_part, old_part)] = old.pop(name)
    file = folder / "source" / "model.safetensors"
    file.parent.mkdir(parents=True)
    safetensors.torch.save_file(change(old), file)
    weights.add(folder / "weights", "org/whole", file.parent)
    return tensors


def outer_heads(tensors: Tensors) -> Tensors:
    """The other name under which heads are published."""
    renamed = {}
    for name, tensor in tensors.items():
        inner = any(part in name for part in (".class_embed.", ".bbox_embed."))
        renamed[name.removeprefix("model.decoder.") if inner else name] = tensor
    return renamed


@pytest.mark.parametrize("change", [dict, outer_heads], ids=["inner heads", "outer heads"])
@pytest.mark.parametrize("name", TINY)
def test_published_weights_fill_all_but_the_concepts(
    name: str, change: Callable[[Tensors], Tensors], tmp_path: Path
) -> None:
    tensors = published(tmp_path, TINY[name], change)
    network = networks.build(name, 3, PLAN, str(tmp_path / "weights"), "org/whole")
    fresh = set(network.concept_rows(3))
    assert len(fresh) == 2 * 2 + 2 + 1  # weight and bias of two layers and of the encoder's head, and the noisy ones
    for own, tensor in network.state_dict().items():
        if own in fresh:
            assert tensor.shape[0] in (3, 4) and not torch.equal(tensor, tensors[own][: len(tensor)])
        elif not own.endswith("num_batches_tracked"):
            assert torch.equal(tensor, tensors[own]), own
    layers = [network.state_dict()[f"model.decoder.class_embed.{layer}.weight"] for layer in range(2)]
    assert layers[0].data_ptr() != layers[1].data_ptr()  # the library would tie them


@pytest.mark.parametrize("name", TINY)
def test_files_that_lack_a_tensor_or_are_of_another_size_are_refused(name: str, tmp_path: Path) -> None:
    published(tmp_path / "a", TINY[name], lambda old: {n: t for n, t in old.items() if "encoder_input_proj.1" not in n})
    with pytest.raises(CorruptFile, match=r"missing, as model\.encoder_input_proj\.1"):
        networks.build(name, 3, PLAN, str(tmp_path / "a" / "weights"), "org/whole")
    published(tmp_path / "b", TINY[name], lambda old: {n: torch.cat([t, t]) if t.ndim else t for n, t in old.items()})
    with pytest.raises(CorruptFile, match="do not fit"):
        networks.build(name, 3, PLAN, str(tmp_path / "b" / "weights"), "org/whole")
    with pytest.raises(MissingWeights, match="luthier weights pull org/other"):
        networks.build(name, 3, PLAN, str(tmp_path / "b" / "weights"), "org/other")


@pytest.mark.parametrize("name", TINY)
def test_norms_of_a_pretrained_body_stay_and_those_of_a_random_one_learn(name: str) -> None:
    for still in (True, False):
        network = QueryDetector(TINY[name](3), still_norms=still).train()
        inside = [m for m in network.model.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]  # type: ignore[union-attr]
        outside = [m for m in network.model.encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]  # type: ignore[union-attr]
        assert inside and {module.training for module in inside} == {not still}
        assert {module.training for module in outside} == {True}


@pytest.mark.parametrize("name", TINY)
def test_the_body_has_five_stages_and_constants_are_not_learnt(name: str) -> None:
    network = QueryDetector(TINY[name](3))
    stages = stages_of(network)
    inside = {stages.of_parameter(name) for name, _ in network.named_parameters() if name.startswith("model.backbone")}
    assert stages.count == 5 and inside == set(range(5))
    training_mode(network, replace(PLAN, trainable_layers="last_2"), 0)
    learnt = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert not any(name.endswith((".up", ".reg_scale")) for name in learnt)
    assert {stages.of_parameter(name) for name in learnt} == {3, 4, 5}


@pytest.mark.parametrize("trained", ["head", "last_2", "all"])
@pytest.mark.parametrize("name", TINY)
def test_noisy_copies_of_the_labelled_boxes_are_learnt_from_whatever_is_frozen(name: str, trained: str) -> None:
    network = QueryDetector(TINY[name](3))
    training_mode(network, replace(PLAN, trainable_layers=trained), 0)
    noisy = []
    network.model.register_forward_hook(lambda module, given, said: noisy.append(said.denoising_meta_values))
    target = Target(torch.tensor([[10.0, 10, 40, 40]]), torch.tensor([1]))
    assert network.loss(torch.rand(1, 3, 64, 96), [target]).isfinite()
    assert noisy[0] is not None


@pytest.mark.parametrize("name", TINY)
def test_boxes_are_refined_in_float32_where_the_network_computes_in_bfloat16(name: str) -> None:
    network = QueryDetector(TINY[name](3)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        said = network.model(pixel_values=torch.rand(1, 3, 64, 96))
    for boxes in (said.enc_topk_bboxes, said.intermediate_reference_points):
        assert boxes.dtype == torch.float32 and not torch.equal(boxes, boxes.bfloat16().float())


@pytest.mark.parametrize("name", TINY)
def test_a_batch_of_background_alone_has_a_loss_and_values_that_are_not_finite_give_one_that_is_not(name: str) -> None:
    torch.manual_seed(1)
    network = QueryDetector(TINY[name](3)).train()
    nothing = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    loss = network.loss(torch.rand(2, 3, 64, 96), [nothing, nothing])
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert not network.loss(torch.full((2, 3, 64, 96), torch.nan), [nothing, nothing]).isfinite()
