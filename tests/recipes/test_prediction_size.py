"""Pictures that are judged and predicted may have another size than those that are learnt from."""

from dataclasses import replace
from pathlib import Path

import pytest

from luthier.catalog.model_type import find_template
from luthier.engine.loading import Data
from luthier.engine.recipe import recipe_for
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from tests.recipes import families, scenes

TEMPLATES = [
    ("visual-classifier", "MMClassification_AdvancedConfig"),
    ("visual-detector", "MMDetection_AdvancedConfig"),
    ("visual-segmenter", "MMSegmentation_AdvancedConfig"),
]
CLASSIFIER = TEMPLATES[0]


@pytest.mark.parametrize(("model_type", "name"), TEMPLATES)
def test_only_what_is_learnt_from_has_the_size_of_training(model_type: str, name: str, tmp_path: Path) -> None:
    spec = families.tiny_spec(find_template(model_type, name), tmp_path)
    recipe = recipe_for(spec)
    example = scenes.examples(tmp_path, 1, splits=("train",))[0]
    data = Path(example.path).read_bytes()
    sides = [
        min(recipe.encode(data, replace(example, split=split))["image"].shape[:2]) for split in ("train", "val", "")
    ]
    learnt = spec.plan["image_size"]
    assert sides == [learnt if isinstance(learnt, int) else learnt[0], 96, 96]


def test_a_classifier_predicts_at_width_and_height_or_the_middle_square(tmp_path: Path) -> None:
    spec = families.tiny_spec(find_template(*CLASSIFIER), tmp_path)
    data = Path(scenes.examples(tmp_path, 1, splits=("train",))[0].path).read_bytes()
    for size, shape in (((48, 32), (32, 48, 3)), ((40,), (40, 40, 3))):
        recipe = recipe_for(replace(spec, plan={**spec.plan, "prediction_size": size}))
        assert recipe.encode(data, Example(id="", blob="", split=""))["image"].shape == shape


def test_an_evaluation_judges_training_examples_too_as_they_are_predicted(tmp_path: Path) -> None:
    spec = families.tiny_spec(find_template(*CLASSIFIER), tmp_path)
    run = prepare(tmp_path / "run", spec, families.FAMILIES[spec.recipe].examples(tmp_path / "pictures"))
    data = Data(run.manifest_file, spec, recipe_for(spec), 1)
    assert data.example("train", 0).split == "train"
    data.merge_splits()
    batch = next(data.batches("train", [range(16)]))
    data.close()
    assert batch is not None and batch["images"].shape == (16, 3, 96, 96)
