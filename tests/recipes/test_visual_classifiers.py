"""Every visual-classifier template: two steps, judged, served; overfits 16 examples; frozen parameters do not move.

Freshly initialised networks stand under the names of the pre-trained weights: that proves loading, not quality.
"""

import json
from collections.abc import Iterator
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
from luthier.engine.evaluate import evaluate
from luthier.engine.loading import Data
from luthier.engine.predict import Predictor
from luthier.engine.recipe import recipe_for
from luthier.engine.session import build_network
from luthier.errors import InvalidTrainingParams
from luthier.runs.events import EpochDone
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import Pictures, events_of, finished, make_run, spec_of, train_here

Tensors = dict[str, torch.Tensor]

TEMPLATES = [template for template in templates_of("visual-classifier") if not template.cannot_train]
LABELS = ("3", "5")
SMALL_SIZES = {"timm/inception_v3": 80, "timm/vit_small_patch14_dinov2": 28}  # pixels; others: 32
UNMOVED = {"flip_probability": 0.0, "crop_scale_min": 1.0, "shift_fraction": 0.0, "rotate_degrees": 0.0}
UNMIXED = {"mixup_alpha": 0.0, "cutmix_alpha": 0.0, "random_augment": 0, "color_jitter": 0.0, "erase_probability": 0.0}
FAST = {
    **UNMOVED,
    **UNMIXED,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "backbone_multiplier": 1.0,
    "weight_decay": 0.0,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "batch_size": 16,
    "examples_per_epoch": 0,
}
EPOCHS = {"luthier_convnextv2_tiny": 32}  # without batch normalisation it learns more slowly; others: 16


def small_spec(template: Template, weights_dir: Path, **plan: Any) -> RunSpec:
    """Two steps of four pictures, everything else as the template says."""
    size = SMALL_SIZES.get(template.backbone.split(".")[0], 32)
    overlay = {"image_size": size, "batch_size": 4, "epochs": 1, "examples_per_epoch": 8, "warmup_steps": 0, **plan}
    return spec_of("run", template.id, concepts=LABELS, plan=overlay, weights_folder=str(weights_dir))


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """For every name that a template asks for, a fresh network of 1,000 classes, as the hub would have it."""
    root = tmp_path_factory.mktemp("weights")
    torch.manual_seed(99)
    for template in TEMPLATES:
        spec = small_spec(template, root)
        place = folder(root, spec.weights) if spec.weights else None
        if place and not place.exists():
            place.mkdir(parents=True)
            network = backbones.create(spec.backbone, classes=1000, image_size=spec.plan["image_size"])
            safetensors.torch.save_file(network.state_dict(), place / "model.safetensors")
    yield root


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


def test_the_own_config_template_is_refused() -> None:
    refused = [template for template in templates_of("visual-classifier") if template.cannot_train]
    assert [template.id for template in refused] == ["MMClassification_AdvancedConfig"]
    with pytest.raises(InvalidTrainingParams, match="cannot be trained"):
        refused[0].checked({})


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_two_steps_judged_and_served(template: Template, weights_dir: Path, pair: Pictures, tmp_path: Path) -> None:
    spec = small_spec(template, weights_dir)
    run = make_run(tmp_path / "run", pair, spec, splits=("train",) * 8 + ("val", "val", "test", "test"))
    event = finished(train_here(run))
    assert event.step == 2
    assert 0 <= event.metrics["accuracy"] <= 1

    judged = evaluate(run, run.checkpoints / "best", run.manifest_file)
    assert judged["examples"] == 16
    outputs = Predictor(run, run.checkpoints / "best").answer("image", [data for _, data in pair[:3]])
    assert [len(output["values"]) for output in outputs] == [2, 2, 2]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_frozen_stays_bit_equal_and_trained_differs(
    template: Template, weights_dir: Path, pair: Pictures, tmp_path: Path
) -> None:
    """Statistics of normalisations count as frozen too. What is not frozen starts from the weights and moves."""
    for trainable in ("head", "all"):
        spec = small_spec(template, weights_dir, trainable_layers=trainable, backbone_multiplier=1.0)
        before, head = start_of(spec)
        run = make_run(tmp_path / trainable, pair, spec, splits=("train",))
        finished(train_here(run))
        after = end_of(run)
        moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
        if trainable == "head":
            assert moved and moved <= head
        else:
            assert moved - head, "nothing but the head has changed"
            still = {name for name in before if name not in moved and before[name].is_floating_point()}
            assert len(still) <= len(before) / 10, f"trained and yet the same: {sorted(still)[:5]}"


@pytest.mark.parametrize(
    "template", [one for one in TEMPLATES if one.backbone.startswith("timm/")], ids=lambda one: one.id
)
def test_training_starts_from_the_weights_of_that_name(template: Template, weights_dir: Path) -> None:
    spec = small_spec(template, weights_dir)
    before, head = start_of(spec)
    stored = checkpoint.read_tensors(folder(weights_dir, spec.weights) / "model.safetensors")
    assert all(torch.equal(tensor, stored[name]) for name, tensor in before.items() if name not in head)


def different_trainings() -> dict[str, Template]:
    """One template of each set that, with the plan below and random weights, would repeat the same training."""
    found: dict[str, Template] = {}
    for template in TEMPLATES:
        spec = small_spec(template, Path("none"), **FAST)
        plan = {**spec.plan, "notes": (), "step_epochs": (), "resize": "", "mean": (), "std": ()}
        found.setdefault(json.dumps([spec.backbone.split(".")[0], plan]), template)
    return {template.id: template for template in found.values()}


@pytest.mark.parametrize("name", different_trainings())
def test_overfits_16_examples(name: str, weights_dir: Path, pair: Pictures, tmp_path: Path) -> None:
    """Learning works: after some steps on the same 16 pictures the network tells each of them.

    It is asked as it was trained, with each batch's own statistics: running means of a few steps are not yet those of a
    network that started random.
    """
    spec = small_spec(different_trainings()[name], weights_dir, **{**FAST, "epochs": EPOCHS.get(name, 16)})
    run = make_run(tmp_path / "run", pair, spec, splits=("train",))
    finished(train_here(run))
    losses = [event.train_loss for event in events_of(run) if isinstance(event, EpochDone)]
    assert losses[-1] < losses[0]

    recipe = recipe_for(spec)
    network = recipe.build(pretrained=False)
    network.load_state_dict(end_of(run))
    data = Data(run.manifest_file, spec, recipe, 1)
    batch = next(data.batches("train", [range(16)]))
    data.close()
    assert batch is not None
    torch.manual_seed(0)
    with torch.no_grad():
        predicted = recipe.predict(network.train(), batch)["values"]
    assert torch.equal(predicted.argmax(1), batch["targets"].argmax(1))
