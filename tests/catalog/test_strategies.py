"""Strategies: every template for pictures has them; left alone they change nothing, given they reach the plan."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from luthier.catalog import strategies
from luthier.catalog.hyperparameters import Enum, Hyperparameter, Number
from luthier.catalog.model_type import all_templates, find_template, templates_of
from luthier.catalog.plan import Plan
from luthier.catalog.template import Template

VISUAL = [
    template
    for model_type in ("visual-classifier", "visual-detector", "visual-segmenter", "visual-embedder")
    for template in templates_of(model_type)
    if not template.cannot_train
]
EVERYWHERE = {
    "optimizer", "schedule", "warmup_iters", "weight_decay", "clip_gradient_norm", "ema_decay", "trainable_layers",
    "unfreeze_every_epochs", "layer_decay", "color_jitter", "brightness_jitter", "contrast_jitter", "hue_jitter",
    "random_augment", "mixup_alpha", "cutmix_alpha", "early_stopping_epochs",
}  # fmt: skip
WHOLE_PICTURES = {"head_hidden_layers", "head_hidden_width", "dropout", "label_smoothing"}


def plan(name: str, model_type: str = "visual-classifier", **given: Any) -> Any:
    template = find_template(model_type, name)
    return template.plan_for(template.checked(given))


def other_than_default(parameter: Hyperparameter) -> Any:
    if isinstance(parameter, Enum):
        return next(option for option in parameter.options if option != parameter.default)
    if isinstance(parameter, Number):
        return parameter.max if parameter.default != parameter.max else parameter.min
    return not parameter.default


@pytest.mark.parametrize("template", VISUAL, ids=lambda one: f"{one.model_type}-{one.id}")
def test_every_visual_template_has_them(template: Template) -> None:
    names = {parameter.name for parameter in template.hyperparameters}
    missing = EVERYWHERE | (
        WHOLE_PICTURES if template.model_type in ("visual-classifier", "visual-embedder") else set()
    )
    assert missing <= names
    assert names & {"base_gradient_multiplier", "backbone_learning_rate_multiplier"}


@pytest.mark.parametrize("template", [one for one in all_templates() if one.strategies], ids=lambda one: one.id)
def test_left_alone_or_given_as_shown_they_change_nothing(template: Template) -> None:
    values = template.checked({})
    added = {one.name: one.default for one in template.hyperparameters if one.name in strategies.names()}
    assert template.plan_for(template.checked(added)) == template.plan_for(values)
    notes = template.plan_for(values).notes
    assert [
        note for note in notes if not note.startswith(("quantization_config:", "trainer_config.fp16:"))
    ] == []  # of what is documented
    for parameter in template.hyperparameters:
        assert parameter.checked(parameter.default) == parameter.default


@pytest.mark.parametrize("template", VISUAL, ids=lambda one: f"{one.model_type}-{one.id}")
def test_each_reaches_the_plan(template: Template) -> None:
    before = asdict(template.plan_for(template.checked({})))
    for parameter in template.hyperparameters:
        if parameter.name in strategies.names() and parameter.name != "feature_cache":
            value = other_than_default(parameter)
            after = asdict(template.plan_for(template.checked({parameter.name: value})))
            changed = {name for name in before if before[name] != after[name]} - {"notes", "step_epochs"}
            assert len(changed) == 1 and after[changed.pop()] == pytest.approx(value), parameter.name


def test_what_a_template_documents_stays_its_own() -> None:
    defaults = {one.id: one.defaults() for one in VISUAL}
    assert defaults["MMClassification_ResNet_50_RSB_A1"]["optimizer"] == "lamb"
    assert defaults["MMClassification_ResNet_50_RSB_A1"]["mixup_alpha"] == 0.2
    assert (defaults["Clarifai_ResNext"]["optimizer"], defaults["Clarifai_ResNext"]["schedule"]) == ("sgd", "step")
    assert defaults["MMDetection_SSD"]["clip_gradient_norm"] == 35.0
    assert defaults["luthier_tiny_detector"]["ema_decay"] == 0.98


def test_a_schedule_in_steps_cuts_late_where_the_template_has_no_cuts_of_its_own() -> None:
    assert plan("luthier_tiny_resnet", schedule="step").step_epochs == (8, 11)
    assert plan("Clarifai_ResNext", schedule="step").step_epochs == (25, 32, 39, 46, 53, 60)


def test_bad_H7_what_contradicts_itself_is_told() -> None:
    def notes(**given: Any) -> tuple[str, ...]:
        return plan("Clarifai_ResNext", **{"num_epochs": 30, "init_epochs": 20, **given}).notes

    assert notes(schedule="cosine") == ("schedule is cosine: the learning rate is not cut after epochs 20, 27",)
    assert notes(trainable_layers="head", unfreeze_every_epochs=2) == (
        "trainable_layers is head: unfreeze_every_epochs unfreezes nothing",
    )
    assert notes(unfreeze_every_epochs=30) == (
        "unfreeze_every_epochs 30 is not below num_epochs 30: only the head is trained",
    )
    assert notes(early_stopping_epochs=30) == (
        "early_stopping_epochs 30 is not below num_epochs 30: training never stops early",
    )


def test_a_plan_without_a_strategys_field_does_not_offer_it() -> None:
    assert "label_smoothing" not in find_template("visual-detector", "MMDetection_SSD").defaults()
    assert "stochastic_depth" not in find_template("visual-classifier", "Clarifai_InceptionV2").defaults()
    bare = Template(id="x", model_type="y", description="", hyperparameters=(), plan=lambda values: Plan(1, 1, 0.1))
    assert strategies.with_strategies(bare) is bare
    assert "mixup_alpha" not in strategies.with_strategies(replace(bare, strategies=True)).defaults()
