"""How a tiny training of each recipe is made, for the table of every template in `test_every_template`.

A new recipe gets a Family here; a new template of a recipe that is here needs nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from luthier.catalog import weights
from luthier.catalog.template import Template
from luthier.engine.detection import networks
from luthier.engine.detection.faster_rcnn import FasterRCNN
from luthier.engine.detection.retinanet import RetinaNet
from luthier.engine.detection.ssd import SSD
from luthier.engine.detection.yolof import YOLOF
from luthier.engine.detection.yolox import YOLOX
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import spec_of
from tests.recipes import scenes
from tests.recipes import test_text_classifiers as texts
from tests.recipes.tiny_language_models import tiny_model
from tests.recipes.tiny_query_detectors import TINY

SPLITS = ("train",) * 8 + ("val",) * 4 + ("test",) * 4
SMALL = {  # what stands for a network: of the same parts, and quick
    "timm/resnet18": "timm/test_resnet",
    "timm/resnet50": "timm/test_resnet",
    "timm/resnet101": "timm/test_resnet",
    "timm/resnext50_32x4d": "timm/test_resnet",
    "timm/resnext101_32x4d": "timm/test_resnet",
    "timm/efficientnet_b3": "timm/test_efficientnet",
    "timm/inception_v3": "timm/test_efficientnet",
    "timm/convnextv2_tiny": "timm/test_convnext2",
    "timm/vit_small_patch14_dinov2": "timm/test_vit",
    "faster_rcnn:timm/resnet50": "small_faster_rcnn:timm/resnet10t",
    "ssd:timm/vgg16": "small_ssd:timm/resnet10t",
    "retinanet:luthier/bn_inception": "small_retinanet:timm/resnet10t",
    "retinanet:timm/inception_v4": "small_retinanet:timm/resnet10t",
    "yolof:timm/resnet50": "small_yolof:timm/test_resnet",
    "luthier/yolox_s": "small_yolox",
    "transformers/rtdetrv2_r18": "tiny_rtdetr",
    "transformers/dfine_small": "tiny_dfine",
}
FIELDS = {  # of the plan, for a training of two steps; those that the recipe has
    "image_classification": {"image_size": 32},
    "image_embedding": {"image_size": 32, "embedding_size": 0, "mutually_exclusive": True},
    "object_detection": {"image_size": (64,), "regions": 32},
    "semantic_segmentation": {"image_size": (64,), "decoder_width": 64},
    "text_classification": {"mutually_exclusive": True},
}
TWO_STEPS = {
    "batch_size": 4, "epochs": 1, "examples_per_epoch": 0, "least_examples_per_epoch": 0, "warmup_steps": 0,
    "checkpoint_seconds": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """`answer` is the key of what a prediction says, `metric` one that every judgement of the family has."""

    concepts: tuple[str, ...]
    examples: Callable[[Path], list[Example]]
    answer: str
    metric: str


def labelled(folder: Path) -> list[Example]:
    """Scenes of which every second one is called a disc: there is something to learn by heart, and no more."""
    found = scenes.examples(folder, len(SPLITS), splits=SPLITS)
    return [replace(one, regions=(), labels={scenes.CONCEPTS[number % 2]: 1}) for number, one in enumerate(found)]


def with_regions(kind: str) -> Callable[[Path], list[Example]]:
    return lambda folder: scenes.examples(folder, len(SPLITS), splits=SPLITS, kind=kind)


FAMILIES = {
    "image_classification": Family(scenes.CONCEPTS, labelled, "values", "accuracy"),
    "image_embedding": Family(scenes.CONCEPTS, labelled, "embedding", "recall_at_1"),
    "object_detection": Family(scenes.CONCEPTS, with_regions("box"), "regions", "map"),
    "semantic_segmentation": Family(scenes.CONCEPTS, with_regions("mask"), "regions", "miou"),
    "text_classification": Family(texts.CONCEPTS, lambda folder: texts.examples(SPLITS), "values", "accuracy"),
}


def tiny_spec(template: Template, weights_dir: Path, **changes: Any) -> RunSpec:
    """Two steps of four examples, all else as the template says, from random weights or a tiny language model's."""
    given = from_random_weights(template)
    name = template.backbone.partition(".")[0]
    return spec_of(
        "run",
        template.id,
        given,
        FAMILIES[template.recipe].concepts,
        {**TWO_STEPS, **FIELDS[template.recipe]},
        model_type=template.model_type,
        backbone=SMALL.get(name, template.backbone),
        weights_folder=str(weights_dir),
        **changes,
    )


def from_random_weights(template: Template) -> dict[str, Any]:
    """Hyperparameters, where the template has any for it; a configuration of one's own is told in its own words."""
    defaults = template.defaults()
    if "custom_config" in defaults:
        anew = "model.update(backbone=dict(init_cfg=None))"
        return {"custom_config": f"{defaults['custom_config']}{anew}", "image_size": [96]}
    return {"pretrained_weights": "None"} if "pretrained_weights" in defaults else {}


def tiny_run(folder: Path, spec: RunSpec) -> RunFolder:
    assets = weights.assets(Path(spec.weights_folder), spec.weights) if spec.weights else []
    return prepare(folder, spec, FAMILIES[spec.recipe].examples(folder.parent / "pictures"), assets)


def bytes_of(example: Example) -> bytes:
    return example.text.encode() if example.text else Path(example.path).read_bytes()


def tiny_weights(root: Path, templates: Sequence[Template]) -> None:
    """A tiny model of its family under the name of each language model that the templates start from."""
    for template in templates:
        family = template.backbone.removeprefix("transformers/")
        place = weights.folder(root, template.weights(template.defaults()))
        if not place.exists():
            tiny_model(
                place,
                [text for found in texts.SUBJECTS.values() for text in found],
                {"auto": "bert"}.get(family, family),
            )


def narrow_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow networks of the same classes, by the names of SMALL."""
    narrow: dict[str, Any] = {
        "faster_rcnn": lambda body, classes, plan: FasterRCNN(body, classes, plan.regions, width=32),
        "ssd": lambda body, classes, plan: SSD(body, classes, width=64),
        "retinanet": lambda body, classes, plan: RetinaNet(body, classes, plan, width=32, depth=1),
        "yolof": lambda body, classes, plan: YOLOF(body, classes, width=64),
    }
    for name, make in narrow.items():
        monkeypatch.setitem(networks.WITH_BODY, f"small_{name}", (networks.WITH_BODY[name][0], make))
    monkeypatch.setitem(networks.WITHOUT_BODY, "small_yolox", lambda classes: YOLOX(classes, width=8))
    for name, configuration in TINY.items():
        monkeypatch.setitem(networks.WITH_QUERIES, name, configuration)
