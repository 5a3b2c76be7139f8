"""Visual detectors: each network learns 16 scenes by heart; what counts as background. Next: `test_every_template`.

The networks stand on small bodies, which are built of the same parts; the full ones are built once, without numbers.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.catalog.model_type import find_template, templates_of
from luthier.catalog.plan import DetectionPlan
from luthier.catalog.template import Template
from luthier.engine import checkpoint
from luthier.engine.backbones import head_names
from luthier.engine.detection import networks
from luthier.engine.detection.detector import Target
from luthier.engine.loading import Data
from luthier.engine.recipe import recipe_for
from luthier.errors import InvalidTrainingParams
from luthier.runs.events import EpochDone
from luthier.runs.manifest import Example, Region
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import events_of, finished, spec_of, train_here
from tests.recipes import tiny_query_detectors
from tests.recipes.families import SMALL, narrow_detectors
from tests.recipes.scenes import CONCEPTS, examples

TEMPLATES = [template for template in templates_of("visual-detector") if template.backbone_at is None]


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow_detectors(monkeypatch)


def small_spec(template: Template, **plan: Any) -> RunSpec:
    """Two steps of four scenes, everything else as the template says, from random weights."""
    quick = {"image_size": (64,), "batch_size": 4, "epochs": 1, "least_examples_per_epoch": 0, "warmup_steps": 0}
    spec = spec_of(
        "run", template.id, {"pretrained_weights": "None"}, CONCEPTS, {**quick, "regions": 32, **plan},
        model_type="visual-detector", backbone=SMALL.get(template.backbone, template.backbone),
    )  # fmt: skip
    return spec


def run_of(folder: Path, spec: RunSpec, found: list[Example]) -> RunFolder:
    return prepare(folder, spec, found)


FAST = {
    "image_size": (72,), "batch_size": 8, "optimizer": "adamw", "learning_rate": 1e-3,
    "weight_decay": 0.0, "schedule": "cosine", "ema_decay": 0.0, "flip_probability": 0.0, "scale_min": 1.0,
    "scale_max": 1.0, "shift_fraction": 0.0, "color_jitter": 0.0, "mosaic_probability": 0.0, "still_norms": False,
    "clip_gradient_norm": 10.0,
}  # fmt: skip
LEARNERS: dict[str, dict[str, Any]] = {  # a template of each network: what differs from FAST
    "luthier_tiny_detector": {"epochs": 60},
    "MMDetection_FasterRCNN": {"epochs": 16, "learning_rate": 2e-3},
    "Clarifai_InceptionV2": {"epochs": 20, "learning_rate": 2e-3},
    "MMDetection_SSD": {"epochs": 80, "learning_rate": 3e-3},
    "MMDetection_YoloF": {"epochs": 32, "image_size": (160,)},  # its one map has a cell for every 32 pixels
    "MMDetection_YOLOX": {"epochs": 40, "learning_rate": 2e-3},
    "luthier_rtdetrv2_r18": {"epochs": 100, "learning_rate": 4e-3, "warmup_steps": 20, "clip_gradient_norm": 1.0},
    "luthier_dfine_small": {"epochs": 90, "learning_rate": 4e-3, "warmup_steps": 10, "clip_gradient_norm": 0.5},
}
WITH_QUERIES = (  # whose loss is a sum over layers, and never near nothing
    "luthier_rtdetrv2_r18",
    "luthier_dfine_small",
)


@pytest.mark.parametrize("name", LEARNERS)
def test_overfits_16_scenes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some random starts of a network with queries miss an object or two of the 27 for long: of three, one must not."""
    monkeypatch.setitem(tiny_query_detectors.SHARED, "num_denoising", 0)  # noisy boxes keep it from learning by heart
    found = examples(tmp_path / "pictures", 16, splits=("train",))
    seeds = (1, 7, 0) if name in WITH_QUERIES else (7,)
    reached = (map50_after_training(name, seed, tmp_path / f"run-{seed}", found) for seed in seeds)
    assert any(map50 >= 0.95 for map50 in reached)


def map50_after_training(name: str, seed: int, folder: Path, found: list[Example]) -> float:
    spec = replace(small_spec(find_template("visual-detector", name), **{**FAST, **LEARNERS[name]}), seed=seed)
    run = run_of(folder, spec, found)
    finished(train_here(run))
    losses = [event.train_loss for event in events_of(run) if isinstance(event, EpochDone)]
    assert losses[-1] < losses[0] / 2 or name in WITH_QUERIES
    return map50_as_trained(run)


def map50_as_trained(run: RunFolder) -> float:
    """With the batch's own statistics: running means of a few steps are not yet those of a random start."""
    spec = run.spec()
    recipe = recipe_for(spec)
    network = recipe.build(pretrained=False)
    network.load_state_dict(checkpoint.read_tensors(run.checkpoints / "best" / checkpoint.MODEL))
    network.eval()
    for module in network.modules():
        module.train(isinstance(module, torch.nn.BatchNorm2d))
    data = Data(run.manifest_file, spec, recipe, 1)
    batch = next(data.batches("train", [range(16)]))
    data.close()
    assert batch is not None
    judge = recipe.judge()
    with torch.no_grad():
        judge.add(recipe.predict(network, batch), batch)
    return judge.scores().metrics["map50"]


BACKBONES = sorted({template.backbone for template in TEMPLATES})


@pytest.mark.parametrize("name", sorted({SMALL.get(name, name) for name in BACKBONES}))
def test_boxes_and_losses_are_float32_where_the_network_computes_in_bfloat16(name: str) -> None:
    torch.manual_seed(0)
    network = networks.build(name, 2, DetectionPlan(1, 1, 0.1, regions=32))
    images = torch.rand(2, 3, 96, 128)
    targets = [Target(torch.tensor([[10.3, 10.3, 60.7, 60.7]]), torch.tensor([1]))] * 2
    with torch.autocast("cpu", torch.bfloat16):
        loss = network.train().loss(images, targets)
        with torch.no_grad():
            found = network.eval().detect(images, [(96, 128)] * 2)
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert all(one.boxes.dtype == one.values.dtype == torch.float32 for one in found)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("small_faster_rcnn:timm/resnet10t", "rpn.anchor_generator"),
        ("small_ssd:timm/resnet10t", "parts.anchor_generator"),
    ],
)
def test_the_boxes_that_are_looked_at_first_are_not_rounded_to_bfloat16(name: str, part: str) -> None:
    network = networks.build(name, 2, DetectionPlan(1, 1, 0.1, regions=32)).eval()
    anchors: list[torch.Tensor] = []
    network.get_submodule(part).register_forward_hook(lambda module, given, made: anchors.append(made[0]))
    for rounded in (False, True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            network.detect(torch.rand(1, 3, 96, 640), [(96, 640)])
    assert torch.equal(*anchors)


def test_regions_are_judged_in_float32_where_the_body_computes_in_bfloat16() -> None:
    network = networks.build("small_faster_rcnn:timm/resnet10t", 2, DetectionPlan(1, 1, 0.1, regions=32))
    said: list[torch.Tensor] = []
    for part in ("rpn.head", "roi_heads.box_predictor"):
        network.get_submodule(part).register_forward_hook(lambda module, given, made: said.append(made[1]))
    target = Target(torch.tensor([[10.3, 10.3, 60.7, 60.7]]), torch.tensor([1]))
    with torch.autocast("cpu", torch.bfloat16):
        network.train().loss(torch.rand(1, 3, 96, 128), [target])
    of_anchors, of_regions = said
    assert of_anchors[0].dtype == of_regions.dtype == torch.float32


@pytest.mark.parametrize("name", BACKBONES)
def test_the_full_networks_can_be_built(name: str) -> None:
    with torch.device("meta"):
        network = networks.build(name, 3, DetectionPlan(1, 1, 0.1))
    assert head_names(network)
    assert set(network.concept_rows(3)) <= {name for name, _ in network.named_parameters()}


def test_an_unknown_network_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidTrainingParams, match="luthier/tiny_detector"):
        networks.build("yolo", 3, DetectionPlan(1, 1, 0.1))


def test_labelled_pictures_without_a_box_are_left_out_and_bare_ones_are_background(tmp_path: Path) -> None:
    found = examples(tmp_path / "pictures", 8, splits=("train",))
    bare = Example("bare", "0" * 64, "train", path=found[0].path)
    labelled = Example("labelled", "1" * 64, "train", {"disc": 1}, path=found[0].path)
    spot = (Region("point", "disc", (0.5, 0.5)),)
    run = run_of(tmp_path / "run", small_spec(TEMPLATES[-1]), [*found, bare, labelled])
    finished(train_here(run))
    report = run.report()
    assert [row["id"] for row in report["skipped"]] == ["labelled"]
    assert "no box" in report["skipped"][0]["reason"]
    assert report["counts"]["examples"]["train"] == 9
    recipe = recipe_for(small_spec(TEMPLATES[-1]))
    pointed = Example("pointed", "2" * 64, "train", path=found[0].path, regions=spot)
    assert len(recipe.encode(Path(found[0].path).read_bytes(), pointed)["boxes"]) == 0


@pytest.mark.parametrize(
    ("regions", "boxed"),
    [
        ((Region("box", "disc", (0.1, 0.1, 0.5, 0.5)),), True),
        ((Region("polygon", "disc", (0.1, 0.1, 0.5, 0.1, 0.5, 0.5)),), True),
        ((Region("point", "disc", (0.5, 0.5)),), False),
        ((Region("box", "disc", (0.5, 0.1, 0.5, 0.5)),), False),
        ((Region("mask", "disc", runs=(4, 2, 8)),), False),
        ((Region("box", "cross", (0.1, 0.1, 0.5, 0.5)), Region("point", "disc", (0.5, 0.5))), False),
    ],
    ids=["box", "polygon", "point", "box without width", "empty mask", "point beside a box"],
)
def test_what_no_box_can_be_made_of_is_not_taken_for_background(regions: tuple[Region, ...], boxed: bool) -> None:
    recipe = recipe_for(small_spec(TEMPLATES[-1]))
    for labels in ({}, {"disc": 1}):
        example = Example("one", "0" * 64, "train", labels, regions=regions)
        assert ("labelled disc, but no box" in recipe.unusable(example)) != boxed
        assert ("disc" in recipe.concepts_in(example)) == boxed
    assert not recipe.unusable(Example("bare", "0" * 64, "train", {"disc": 0}))
