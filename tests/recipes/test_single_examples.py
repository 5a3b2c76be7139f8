"""A batch of one example: networks for pictures normalise by batches, and one small picture is no batch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from luthier.catalog.model_type import find_template
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder
from tests.engine.runs import failed, finished, train_here
from tests.recipes import families
from tests.recipes.families import FAMILIES

CLASSIFIER = "luthier_resnet18"
CONVOLUTIONAL = {
    CLASSIFIER: ("visual-classifier", 32),
    "luthier_tiny_detector": ("visual-detector", (32, 32)),
    "luthier_tiny_segmenter": ("visual-segmenter", (32, 32)),
    "Clarifai_ResNet_AngularMargin": ("visual-embedder", 32),
}
TOO_SMALL = (
    "batch normalisation has nothing to compare a single small example with: batch_size is {}, image_size is {}; "
    "give a batch_size of 2 or more{}, or a larger image_size"
)


def run_of(folder: Path, template: str = CLASSIFIER, count: int = 4, **plan: Any) -> RunFolder:
    """`count` pictures of 32 pixels, where the plan does not say otherwise; half of them may be unreadable."""
    model_type, size = CONVOLUTIONAL[template]
    spec = families.tiny_spec(find_template(model_type, template), folder, invalid_data_tolerance_percent=50.0)
    found = FAMILIES[spec.recipe].examples(folder / "pictures")[:count]
    return prepare(folder / "run", replace(spec, plan={**spec.plan, "image_size": size, **plan}), found)


@pytest.mark.parametrize("template", CONVOLUTIONAL)
def test_a_single_picture_that_is_too_small_is_refused_with_what_to_set(template: str, tmp_path: Path) -> None:
    event = failed(train_here(run_of(tmp_path, template, batch_size=1)))
    size = 32 if CONVOLUTIONAL[template][1] == 32 else "[32, 32]"
    assert event.details == TOO_SMALL.format(1, size, "")


def test_the_only_picture_there_is_may_be_too_small(tmp_path: Path) -> None:
    event = failed(train_here(run_of(tmp_path, count=1, batch_size=8)))
    assert event.details == TOO_SMALL.format(8, 32, " and more than one input to train on")


def test_a_larger_single_picture_is_learnt_from(tmp_path: Path) -> None:
    assert finished(train_here(run_of(tmp_path, image_size=64, batch_size=1, accumulate=2))).step == 2


@pytest.mark.parametrize(("count", "accumulate", "unreadable"), [(5, 1, False), (7, 2, False), (4, 1, True)])
def test_one_picture_beside_whole_batches_breaks_no_training(
    count: int, accumulate: int, unreadable: bool, tmp_path: Path
) -> None:
    """Five in twos leave one, of seven in steps of two and two three are left, of four in twos one cannot be read."""
    run = run_of(tmp_path, count=count, batch_size=2, accumulate=accumulate)
    if unreadable:
        (tmp_path / "pictures" / "0-2.png").write_bytes(b"no picture")
    assert finished(train_here(run)).step == 2
    told = "does without a batch of which a single example is left" in run.log_file.read_text(encoding="utf-8")
    assert told == (count != 5)
