"""Visual classifiers: weights of their names are loaded, what is frozen does not move, 16 pictures are learnt by heart.

Freshly initialised networks stand under the names of the pre-trained weights: that proves loading, not quality.
Next: `test_every_template` for two steps of each.
"""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from luthier.catalog.model_type import templates_of
from luthier.catalog.template import Template
from luthier.catalog.weights import folder
from luthier.engine import backbones, checkpoint
from luthier.engine.devices import choose
from luthier.engine.loading import Data
from luthier.engine.recipe import recipe_for
from luthier.engine.session import build_network
from luthier.runs.events import EpochDone
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import Pictures, events_of, finished, make_run, spec_of, train_here
from tests.recipes.families import SMALL

Tensors = dict[str, torch.Tensor]

TEMPLATES = [template for template in templates_of("visual-classifier") if template.backbone_at is None]
NETWORKS = {SMALL.get(one.backbone.split(".")[0], one.backbone): one for one in reversed(TEMPLATES)}
LABELS = ("3", "5")
FAST = {
    "flip_probability": 0.0, "crop_scale_min": 1.0, "shift_fraction": 0.0, "mixup_alpha": 0.0, "cutmix_alpha": 0.0,
    "random_augment": 0, "optimizer": "adamw", "learning_rate": 3e-3, "backbone_multiplier": 1.0, "weight_decay": 0.0,
    "schedule": "constant", "label_smoothing": 0.0, "batch_size": 16, "examples_per_epoch": 0,
    "mutually_exclusive": True,
}  # fmt: skip

LEARNS: dict[str, dict[str, Any]] = {  # what differs from 40 epochs of FAST
    "luthier/bn_inception": {"epochs": 12},
    "timm/test_vit": {"epochs": 80, "learning_rate": 1e-3},
}


def spec_for(template: Template, weights_dir: Path, **changes: Any) -> RunSpec:
    """Two steps of four pictures, everything else as the template says."""
    size = {"timm/inception_v3": 80, "timm/vit_small_patch14_dinov2": 28}.get(template.backbone.split(".")[0], 32)
    plan = {"image_size": size, "batch_size": 4, "epochs": 1, "examples_per_epoch": 8, "warmup_steps": 0}
    plan |= changes.pop("plan", {})
    return spec_of("run", template.id, concepts=LABELS, plan=plan, weights_folder=str(weights_dir), **changes)


def small_spec(network: str, **plan: Any) -> RunSpec:
    plan = {"image_size": 32, **plan}
    return spec_for(NETWORKS[network], Path("none"), backbone=network, weights="", plan=plan)


@pytest.fixture(scope="module")
def pair(digits: Pictures) -> Pictures:
    """16 digits, threes and fives in turn."""
    kinds = [[one for one in digits if one[0] == label] for label in LABELS]
    return [picture for pictures in zip(*kinds, strict=False) for picture in pictures][:16]


def start_of(spec: RunSpec) -> tuple[Tensors, set[str]]:
    """What the engine starts from, and which of it is the head."""
    network = build_network(recipe_for(spec), spec, choose("cpu", 1), print)
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}, backbones.head_names(network)


def end_of(run: RunFolder) -> Tensors:
    return checkpoint.read_tensors(run.checkpoints / "last" / "model.safetensors")


def test_there_is_every_documented_template() -> None:
    assert len(TEMPLATES) >= 13


@pytest.mark.parametrize("trained", ["head", "last_1", "all"])
@pytest.mark.parametrize("network", NETWORKS)
def test_frozen_stays_bit_equal_and_trained_differs(network: str, trained: str, pair: Pictures, tmp_path: Path) -> None:
    """Statistics of normalisations count as frozen too."""
    spec = small_spec(network, trainable_layers=trained, backbone_multiplier=1.0)
    before, head = start_of(spec)
    run = make_run(tmp_path / "run", pair, spec, splits=("train",))
    finished(train_here(run))
    after = end_of(run)
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert moved & head
    if trained == "head":
        assert moved <= head
    elif trained == "last_1":
        assert moved - head and len(moved - head) <= len(before) * 2 / 3
    else:
        still = {name for name in before if name not in moved and before[name].is_floating_point()}
        assert len(still) <= len(before) / 10, f"trained and yet the same: {sorted(still)[:5]}"


@pytest.mark.parametrize("template", [one for one in TEMPLATES if one.weights(one.defaults())], ids=lambda one: one.id)
def test_training_starts_from_the_weights_of_that_name(template: Template, tmp_path: Path) -> None:
    """The networks in their full size; the file has a head of 1,000 classes, as the hub's have."""
    spec = spec_for(template, tmp_path)
    place = folder(tmp_path, spec.weights)
    place.mkdir(parents=True)
    torch.manual_seed(99)
    stored = backbones.create(spec.backbone, classes=1000, image_size=spec.plan["image_size"]).state_dict()
    safetensors.torch.save_file(stored, place / "model.safetensors")
    before, head = start_of(spec)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in before.items() if name not in head)


@pytest.mark.parametrize("network", NETWORKS)
def test_overfits_16_examples(network: str, pair: Pictures, tmp_path: Path) -> None:
    """Learning works: after some steps on the same 16 pictures the network tells each of them.

    It is asked as it was trained, with each batch's own statistics: running means of a few steps are not yet those of a
    network that started random.
    """
    spec = small_spec(network, **{**FAST, **LEARNS.get(network, {"epochs": 40})})
    run = make_run(tmp_path / "run", pair, spec, splits=("train",))
    finished(train_here(run))
    losses = [event.train_loss for event in events_of(run) if isinstance(event, EpochDone)]
    assert losses[-1] < losses[0]

    recipe = recipe_for(spec)
    trained = recipe.build(pretrained=False)
    trained.load_state_dict(end_of(run))
    data = Data(run.manifest_file, spec, recipe, 1)
    batch = next(data.batches("train", [range(16)]))
    data.close()
    assert batch is not None
    torch.manual_seed(0)
    with torch.no_grad():
        predicted = recipe.predict(trained.train(), batch)["values"]
    assert torch.equal(predicted.argmax(1), batch["targets"].argmax(1))
