"""What a user may ask of the training loop itself: larger steps, less memory, rare concepts, features kept."""

from typing import Any

import pytest

from luthier.catalog.model_type import find_template, templates_of
from luthier.catalog.plan import UNCHANGED
from luthier.errors import InvalidTrainingParams

EVERYWHERE = {"accumulate", "gradient_checkpointing", "balanced_sampling", "early_stopping_metric"}
WITH_A_HEAD = {"class_weights", "feature_cache"}
METRICS = {
    "visual-classifier": "macro_f1",
    "visual-detector": "map75",
    "visual-segmenter": "dice",
    "visual-embedder": "map_at_r",
}


def plan(name: str, model_type: str = "visual-classifier", **given: Any) -> Any:
    template = find_template(model_type, name)
    return template.plan_for(template.checked(given))


@pytest.mark.parametrize("model_type", METRICS)
def test_every_template_for_pictures_has_them(model_type: str) -> None:
    for template in templates_of(model_type):
        if template.backbone_at:  # a configuration of one's own says all that strategies would
            continue
        names = {parameter.name for parameter in template.hyperparameters}
        assert names >= EVERYWHERE, template.id
        assert (names >= WITH_A_HEAD) == (model_type in ("visual-classifier", "visual-embedder")), template.id
        wanted = template.plan_for(template.checked({"early_stopping_metric": METRICS[model_type]}))
        assert wanted.early_stopping_metric == METRICS[model_type]


def test_a_metric_of_another_model_type_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidTrainingParams, match='early_stopping_metric is "map"; give one of automatic, accuracy'):
        plan("luthier_tiny_resnet", early_stopping_metric="map")


def test_a_feature_cache_that_is_asked_for_leaves_pictures_as_they_are() -> None:
    frozen = plan("Clarifai_ResNext", trainable_layers="head", feature_cache="on")
    assert all(getattr(frozen, name) == value for name, value in UNCHANGED.items())
    assert frozen.notes == ("feature_cache is on: training pictures are not changed at random",)
    assert plan("Clarifai_ResNext", trainable_layers="head").changes_pictures
    learning = plan("Clarifai_ResNext", feature_cache="on")
    assert learning.changes_pictures
    assert learning.notes == ("feature_cache is on, but the backbone learns: it is asked in every epoch",)


def test_weights_and_sampling_at_once_are_told() -> None:
    both = plan("luthier_tiny_resnet", class_weights="balanced", balanced_sampling=True)
    assert "count rare concepts for more than frequent ones" in both.notes[0]
