"""Strategies while training: all of them at once on each family, stages that thaw, heads that change their shape."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.catalog.model_type import all_templates, find_template
from luthier.catalog.plan import Plan
from luthier.catalog.template import Template
from luthier.engine import checkpoint
from luthier.engine.journal import Journal
from luthier.engine.predict import Predictor
from luthier.engine.process import StopRequest
from luthier.engine.recipe import recipe_for
from luthier.engine.stages import freeze, stages_of
from luthier.engine.train import train
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import finished, hashes_of_weights, spec_of, train_here
from tests.recipes import families

ALL_AT_ONCE: dict[str, Any] = {
    "optimizer": "lion", "schedule": "linear", "warmup_iters": 1, "weight_decay": 0.1, "clip_gradient_norm": 1.0,
    "ema_decay": 0.9, "trainable_layers": "last_2", "unfreeze_every_epochs": 1, "layer_decay": 0.7,
    "head_hidden_layers": 1, "head_hidden_width": 16, "dropout": 0.2, "stochastic_depth": 0.3, "label_smoothing": 0.1,
    "color_jitter": 0.2, "brightness_jitter": 0.2, "contrast_jitter": 0.2, "hue_jitter": 0.1, "random_augment": 5,
    "mixup_alpha": 0.4, "cutmix_alpha": 1.0,
}  # fmt: skip
ONE_OF_EACH = [
    ("visual-classifier", "luthier_tiny_resnet"),
    ("visual-classifier", "luthier_vit_dinov2_small"),
    ("visual-detector", "luthier_tiny_detector"),
    ("visual-detector", "MMDetection_FasterRCNN"),
    ("visual-segmenter", "luthier_tiny_segmenter"),
    ("visual-segmenter", "MMSegmentation_SegFormer"),
    ("visual-embedder", "Clarifai_ResNet_AngularMargin"),
]


VISUAL = [
    one
    for one in all_templates()
    if one.strategies and one.recipe in families.FIELDS and "pretrained_weights" in one.defaults()
]


@pytest.fixture(autouse=True)
def _narrow_detectors() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        families.narrow_detectors(patch)
        yield


def spec_with(model_type: str, name: str, given: dict[str, Any], **plan: Any) -> RunSpec:
    template = find_template(model_type, name)
    known = {one: value for one, value in given.items() if one in template.defaults()}
    tiny = families.tiny_spec(template, Path("none"))
    fields = {name: tiny.plan[name] for name in (*families.TWO_STEPS, *families.FIELDS[template.recipe])}
    fields.pop("warmup_steps")
    return spec_of(
        "run",
        name,
        {"pretrained_weights": "None", **known},
        families.FAMILIES[template.recipe].concepts,
        {**fields, **plan},
        model_type=model_type,
        backbone=tiny.backbone,
    )


def cut_after_a_step(run: RunFolder) -> None:
    journal = Journal(run, echo=False)
    stop = StopRequest(journal)
    stop.requested = True
    train(run, journal, stop, time.monotonic())


@pytest.mark.parametrize(("model_type", "name"), ONE_OF_EACH)
def test_all_at_once_train_and_go_on_after_a_cut_to_the_same_bytes(model_type: str, name: str, tmp_path: Path) -> None:
    spec = spec_with(model_type, name, ALL_AT_ONCE, epochs=3)
    whole, cut = (families.tiny_run(tmp_path / one / "run", spec) for one in ("whole", "cut"))
    event = finished(train_here(whole))
    assert event.step == 6 and all(math.isfinite(value) for value in event.metrics.values())
    for _ in range(4):
        cut_after_a_step(cut)
    finished(train_here(cut))
    assert hashes_of_weights(cut) == hashes_of_weights(whole)
    found = families.FAMILIES[spec.recipe].examples(tmp_path / "asked")[0]
    (answer,) = Predictor(whole, whole.checkpoints / "best").answer("image", [families.bytes_of(found)])
    assert families.FAMILIES[spec.recipe].answer in answer


@pytest.mark.parametrize("template", VISUAL, ids=lambda one: f"{one.model_type}-{one.id}")
def test_every_network_has_stages_and_the_last_one_can_learn_alone(template: Template) -> None:
    spec = spec_of("run", template.id, {"pretrained_weights": "None"}, ("a", "b"), model_type=template.model_type)
    with torch.device("meta"):
        network = recipe_for(spec).build(pretrained=False)
    stages = stages_of(network)
    assert stages.count >= 4
    assert {stages.of_parameter(name) for name, _ in network.named_parameters()} >= {0, stages.count}
    sizes = []
    for trained in ("head", "last_1", "last_2", "all"):
        freeze(network, replace(Plan(1, 1, 0.1), trainable_layers=trained), 0)
        sizes.append(sum(one.numel() for one in network.parameters() if one.requires_grad))
    assert sizes == sorted(sizes) and sizes[0] < sizes[1] < sizes[3]


def test_stages_thaw_epoch_by_epoch(tmp_path: Path) -> None:
    """After two epochs of two steps the head and the last stage have moved, statistics and all, and nothing else."""
    run = families.tiny_run(
        tmp_path / "run", spec_with("visual-classifier", "luthier_tiny_resnet", {"unfreeze_every_epochs": 1}, epochs=9)
    )
    moved: list[set[str]] = []
    before: dict[str, torch.Tensor] = {}
    for _ in range(6):
        cut_after_a_step(run)
        newest = sorted(run.checkpoints.glob("step-*"))[-1]
        now = checkpoint.read_tensors(newest / checkpoint.MODEL)
        changed = [name for name, tensor in now.items() if name in before and not torch.equal(tensor, before[name])]
        moved.append({name.partition(".")[0] for name in changed})
        before = now
    assert moved[1:] == [{"head"}, *[{"stage3", "head"}] * 2, *[{"stage2", "stage3", "head"}] * 2]


def test_going_on_with_another_head_keeps_the_backbone_and_says_so(tmp_path: Path) -> None:
    first = families.tiny_run(tmp_path / "first", spec_with("visual-classifier", "luthier_tiny_resnet", {}))
    finished(train_here(first))
    deeper = spec_with(
        "visual-classifier", "luthier_tiny_resnet", {"head_hidden_layers": 2, "trainable_layers": "head"}
    )
    second = families.tiny_run(tmp_path / "second", replace(deeper, resume_from=str(first.checkpoints / "best")))
    finished(train_here(second))
    assert "its head has another shape, so this one learns anew" in second.log_file.read_text(encoding="utf-8")
    old, new = (checkpoint.read_tensors(run.checkpoints / "best" / checkpoint.MODEL) for run in (first, second))
    assert all(torch.equal(new[name], tensor) for name, tensor in old.items() if not name.startswith("head."))
    assert "head.hidden.1.0.weight" in new
