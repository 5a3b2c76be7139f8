"""Visual segmenters: each network learns 16 scenes by heart; masks are as they should. Next: `test_every_template`."""

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from luthier.catalog.model_type import templates_of
from luthier.catalog.template import Template
from luthier.engine.evaluate import evaluate
from luthier.engine.predict import Predictor
from luthier.engine.recipe import recipe_for
from luthier.engine.segmentation.masks import classes_of, pixels_of
from luthier.errors import InvalidTrainingParams
from luthier.runs.manifest import Example, Region
from luthier.runs.prepare import prepare
from luthier.runs.run import RunConcept, RunFolder, RunSpec
from tests.engine.runs import finished, spec_of, train_here
from tests.recipes.scenes import CONCEPTS, HEIGHT, WIDTH, examples

TEMPLATES = [template for template in templates_of("visual-segmenter") if template.backbone_at is None]
FAST = {
    "image_size": (72,), "batch_size": 8, "epochs": 30, "optimizer": "adamw", "learning_rate": 2e-3,
    "backbone_multiplier": 1.0, "weight_decay": 0.0, "schedule": "cosine", "ema_decay": 0.0, "flip_probability": 0.0,
    "scale_min": 1.0, "scale_max": 1.0, "shift_fraction": 0.0, "color_jitter": 0.0,
}  # fmt: skip

LEARNS = {  # what differs from FAST
    "luthier_tiny_segmenter": {"epochs": 45},
    "MMSegmentation_SegFormer": {"batch_size": 4, "epochs": 36, "dropout": 0.0, "learning_rate": 4e-3},
}


def small_spec(template: Template, **plan: Any) -> RunSpec:
    quick = {"image_size": (64,), "batch_size": 4, "epochs": 1, "warmup_steps": 0, "decoder_width": 64}
    given = {"pretrained_weights": "None"}
    return spec_of("run", template.id, given, CONCEPTS, {**quick, **plan}, model_type="visual-segmenter")


def run_of(folder: Path, spec: RunSpec, found: list[Example]) -> RunFolder:
    return prepare(folder, spec, found)


def mask_of(region: dict[str, Any]) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(region["mask"]))))


def test_masks_are_as_large_as_the_picture_and_no_pixel_has_two_concepts(tmp_path: Path) -> None:
    found = examples(tmp_path / "pictures", 8, splits=("train",), kind="mask")
    run = run_of(tmp_path / "run", small_spec(TEMPLATES[-1], epochs=8, learning_rate=2e-3), found)
    finished(train_here(run))
    answers = Predictor(run, run.checkpoints / "best").answer("image", [Path(one.path).read_bytes() for one in found])
    masks = [[mask_of(region) for region in answer["regions"]] for answer in answers]
    assert any(masks)
    for of_one in masks:
        assert all(mask.shape == (HEIGHT, WIDTH) for mask in of_one)
        assert sum((mask.astype(int) for mask in of_one), np.zeros((HEIGHT, WIDTH))).max() <= 1


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_overfits_16_scenes(template: Template, tmp_path: Path) -> None:
    found = examples(tmp_path / "pictures", 16, splits=("train",), kind="mask")
    run = run_of(tmp_path / "run", small_spec(template, **{**FAST, **LEARNS.get(template.id, {})}), found)
    finished(train_here(run))
    metrics = evaluate(run, run.checkpoints / "best", run.manifest_file)["metrics"]
    assert metrics["miou"] >= 0.95 and metrics["pixel_accuracy"] >= 0.95


def test_polygons_and_masks_become_classes_and_what_is_not_labelled_is_background() -> None:
    square = Region("polygon", "disc", (0.0, 0.0, 0.5, 0.0, 0.5, 0.5, 0.0, 0.5))
    runs = Region("mask", "cross", runs=(4, 2, 6, 2))  # the last column of 4 x 2 pixels
    classes = classes_of([square, runs], {"disc": 0, "cross": 1}, 8, 4)
    assert classes[0, 0] == 1 and classes[0, 6] == 2 and classes[3, 0] == 0
    assert (classes == 2).sum() == 8
    assert pixels_of((4, 2, 6, 2)).tolist() == [[False, False, False, True]] * 2


def test_a_picture_with_boxes_alone_is_left_out(tmp_path: Path) -> None:
    found = examples(tmp_path / "pictures", 8, splits=("train",), kind="mask")
    boxed = Example("boxed", "1" * 64, "train", path=found[0].path, regions=(Region("box", "disc", (0, 0, 1, 1)),))
    run = run_of(tmp_path / "run", small_spec(TEMPLATES[-1]), [*found, boxed])
    finished(train_here(run))
    skipped = run.report()["skipped"]
    assert [row["id"] for row in skipped] == ["boxed"] and "no polygon and no mask" in skipped[0]["reason"]


def test_more_concepts_than_a_byte_tells_apart_are_refused() -> None:
    spec = small_spec(TEMPLATES[-1])
    most = replace(spec, concepts=tuple(RunConcept(f"c{number}", "") for number in range(254)))
    assert len(recipe_for(most).concept_ids) == 254
    with pytest.raises(InvalidTrainingParams, match="has 255 concepts; a segmenter tells at most 254 apart"):
        recipe_for(replace(most, concepts=(*most.concepts, RunConcept("one more", ""))))


def test_a_region_without_area_is_not_taken_for_background() -> None:
    recipe = recipe_for(small_spec(TEMPLATES[-1]))
    empty = Example("empty", "0" * 64, "train", regions=(Region("mask", "disc", runs=(4, 2, 8)),))
    assert "no polygon and no mask" in recipe.unusable(empty) and not recipe.concepts_in(empty)
