"""Every visual-classifier template: two steps, judged, served; overfits 16 examples; frozen parameters do not move.

Freshly initialised networks stand under the names of the pre-trained weights: that proves loading, not quality.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from luthier.catalog.model_type import templates_of
from luthier.catalog.template import Template
from luthier.catalog.weights import folder
from luthier.engine import backbones, checkpoint
from luthier.engine.evaluate import evaluate
from luthier.engine.predict import Predictor
from luthier.errors import InvalidTrainingParams
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import Pictures, finished, make_run, spec_of, train_here

TEMPLATES = [template for template in templates_of("visual-classifier") if not template.cannot_train]
LABELS = ("3", "5")
SMALL_SIZES = {"timm/inception_v3": 96, "timm/vit_small_patch14_dinov2": 28}  # others: 32
LEFT_OUT = {
    "flip_probability": 0.0,
    "crop_scale_min": 1.0,
    "shift_fraction": 0.0,
    "rotate_degrees": 0.0,
    "mixup_alpha": 0.0,
}
PLAIN = {**LEFT_OUT, "cutmix_alpha": 0.0, "random_augment": 0, "color_jitter": 0.0, "erase_probability": 0.0}


def small_size(template: Template) -> int:
    return SMALL_SIZES.get(template.backbone.split(".")[0], 32)


def small_spec(template: Template, weights_dir: Path, **plan: Any) -> RunSpec:
    """Two steps of four pictures, everything else as the template says."""
    size = small_size(template)
    overlay = {"image_size": size, "batch_size": 4, "epochs": 1, "examples_per_epoch": 8, "warmup_steps": 0, **plan}
    return spec_of("run", template.id, concepts=LABELS, plan=overlay, weights_folder=str(weights_dir), threads=1)


def put_weights(weights_dir: Path, spec: RunSpec) -> dict[str, torch.Tensor]:
    """A fresh network of 1,000 classes under the name that the spec asks for, as the hub would have it."""
    if not spec.weights:
        return {}
    torch.manual_seed(99)
    network = backbones.create(spec.backbone, classes=1000, image_size=spec.plan["image_size"])
    place = folder(weights_dir, spec.weights)
    if not place.exists():
        place.mkdir(parents=True)
        safetensors.torch.save_file(network.state_dict(), place / "model.safetensors")
    return network.state_dict()


@pytest.fixture(scope="session")
def pair(digits: Pictures) -> Pictures:
    """16 digits, threes and fives in turn."""
    kinds = [[one for one in digits if one[0] == label] for label in LABELS]
    return [picture for pictures in zip(*kinds, strict=False) for picture in pictures][:16]


def last_weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return checkpoint.read_tensors(run.checkpoints / "last" / "model.safetensors")


def test_there_is_every_documented_template() -> None:
    assert len(TEMPLATES) >= 13


def test_the_own_config_template_is_refused() -> None:
    refused = [template for template in templates_of("visual-classifier") if template.cannot_train]
    assert [template.id for template in refused] == ["MMClassification_AdvancedConfig"]
    with pytest.raises(InvalidTrainingParams, match="cannot be trained"):
        refused[0].checked({})


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_two_steps_judged_and_served(template: Template, pair: Pictures, tmp_path: Path) -> None:
    spec = small_spec(template, tmp_path / "weights")
    before = put_weights(tmp_path / "weights", spec)
    run = make_run(tmp_path / "run", pair, spec, splits=("train",) * 8 + ("val", "val", "test", "test"))
    event = finished(train_here(run))
    assert event.step == 2
    assert 0 <= event.metrics["accuracy"] <= 1

    after = last_weights(run)
    head = backbones.head_names(backbones.create(spec.backbone, len(LABELS), spec.plan["image_size"]))
    moved = {name for name, tensor in before.items() if name not in head and not torch.equal(tensor, after[name])}
    frozen = spec.plan["backbone_multiplier"] == 0 or spec.plan["trainable_layers"] == "head"
    assert bool(moved) != frozen or not before

    judged = evaluate(run, run.checkpoints / "best", run.manifest_file)
    assert judged["examples"] == 16
    predictor = Predictor(run, run.checkpoints / "best")
    outputs = predictor.answer("image", [data for _, data in pair[:3]])
    assert [len(output["values"]) for output in outputs] == [2, 2, 2]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_frozen_backbone_stays_bit_equal(template: Template, pair: Pictures, tmp_path: Path) -> None:
    spec = small_spec(template, tmp_path / "weights", trainable_layers="head")
    before = put_weights(tmp_path / "weights", spec)
    if not before:
        pytest.fail("no weights to compare with") if spec.weights else None
        before = fresh(spec)
    run = make_run(tmp_path / "run", pair, spec)
    finished(train_here(run))
    after = last_weights(run)
    head = backbones.head_names(backbones.create(spec.backbone, len(LABELS), spec.plan["image_size"]))
    for name in after.keys() - head:
        assert torch.equal(before[name], after[name]), f"{name} is frozen and has changed"
    assert any(not torch.equal(after[name], fresh(spec)[name]) for name in head)


def fresh(spec: RunSpec) -> dict[str, torch.Tensor]:
    """What the engine starts from where there are no weights: its own seeded random network."""
    from luthier.engine.devices import choose
    from luthier.engine.recipe import recipe_for
    from luthier.engine.session import build_network

    return build_network(recipe_for(spec), spec, choose("cpu", 1), print).state_dict()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_overfits_16_examples(template: Template, pair: Pictures, tmp_path: Path) -> None:
    """Learning works at all: loss and gradient agree, labels are not mixed up."""
    spec = small_spec(
        template,
        tmp_path / "weights",
        **PLAIN,
        optimizer="adamw",
        learning_rate=1e-3,
        backbone_multiplier=1.0,
        weight_decay=0.0,
        schedule="constant",
        label_smoothing=0.0,
        epochs=20,
        batch_size=16,
        examples_per_epoch=0,
    )
    put_weights(tmp_path / "weights", spec)
    run = make_run(tmp_path / "run", pair, spec, splits=("train",))
    finished(train_here(run))
    judged = evaluate(run, run.checkpoints / "best", run.manifest_file)
    assert judged["metrics"]["accuracy"] == 1.0, asdict(spec)["plan"]
