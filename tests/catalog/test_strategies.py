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
    if template.backbone_at is None  # a configuration of one's own says all that strategies would
]
WITH_STRATEGIES = [template for template in all_templates() if template.strategies]
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


@pytest.mark.parametrize("template", WITH_STRATEGIES, ids=lambda one: f"{one.model_type}-{one.id}")
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


@pytest.mark.parametrize("template", WITH_STRATEGIES, ids=lambda one: f"{one.model_type}-{one.id}")
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
    assert plan("luthier_tiny_resnet", schedule="step").step_epochs == (27, 37)
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


TWO_SIDES = "image_size is width and height: keep_aspect_ratio and max_aspect_ratio mean nothing"
FULL_RATE = "pretrained_weights is None: the backbone learns at the full rate, "
SLOW = "pretrained_weights is None: base_gradient_multiplier 0.1 slows down a backbone that starts from random weights"
STILL_BASE = "peft_config is given: the base model stays as it is, backbone_learning_rate_multiplier means nothing"


@pytest.mark.parametrize(
    ("model_type", "name", "given", "note"),
    [
        ("visual-classifier", "MMClassification_EfficientNet", {"optimizer": "adamw"},
         "optimizer is adamw: momentum is sgd's alone and means nothing"),
        ("visual-classifier", "MMClassification_ResNet_50_RSB_A1", {"schedule": "constant"},
         "schedule is constant: the learning rate does not go down to per_item_min_lrate"),
        ("visual-detector", "MMDetection_YoloF", {"pretrained_weights": "None", "base_gradient_multiplier": 0.5},
         "pretrained_weights is None: frozen_stages freezes nothing"),
        ("visual-detector", "MMDetection_YoloF", {"image_size": [640, 480]}, TWO_SIDES),
        ("visual-classifier", "luthier_resnet18", {"pretrained_weights": "None"},
         FULL_RATE + "backbone_learning_rate_multiplier means nothing"),
        ("visual-segmenter", "MMSegmentation_SegFormer", {"pretrained_weights": "None"},
         FULL_RATE + "base_gradient_multiplier means nothing"),
        ("visual-classifier", "luthier_tiny_resnet", {"base_gradient_multiplier": 0.1},
         SLOW),
        ("text-classifier", "luthier_modernbert", {"peft_config": {"peft_type": "LORA"}}, STILL_BASE),
        ("text-classifier", "HF_GPTNeo_125m_lora", {"early_stopping_epochs": 1},
         "early_stopping_epochs 1 is not below trainer_config.num_train_epochs 1: training never stops early"),
        ("text-classifier", "HF_GPTNeo_125m_lora",
         {"trainer_config": {"lr_scheduler_type": "constant", "warmup_steps": 5}},
         "trainer_config.warmup_steps: lr_scheduler_type constant has none; constant_with_warmup has"),
        ("text-classifier", "HF_Llama_2_7b_chat_GPTQ_lora",
         {"quantization_config": {"bits": 8, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False}},
         "quantization_config: bits is 8, where bnb_4bit_quant_type and bnb_4bit_use_double_quant mean nothing"),
        ("text-to-text", "luthier_flan_t5_small", {"early_stopping_metric": "chrf"},
         "early_stopping_metric is chrf: judge_answers is on"),
        ("embedding-classifier", "luthier_text_transfer", {"early_stopping_epochs": 20},
         "early_stopping_epochs 20 is not below num_epochs 20: training never stops early"),
    ],
)  # fmt: skip
def test_bad_H7_what_means_nothing_is_told(model_type: str, name: str, given: dict[str, Any], note: str) -> None:
    assert note in plan(name, model_type, **given).notes
    assert note not in plan(name, model_type).notes


def test_a_metric_of_answers_has_them_judged() -> None:
    for metric in ("exact_match", "rouge_l", "chrf"):
        assert plan("HF_GPTNeo_125m_lora", "text-to-text", early_stopping_metric=metric).judge_answers
    by_perplexity = plan("HF_GPTNeo_125m_lora", "text-to-text", early_stopping_metric="perplexity")
    assert not by_perplexity.judge_answers and by_perplexity.notes == ()


def test_base_gradient_multiplier_as_a_strategy_holds_for_a_random_backbone_where_it_is_not_the_default() -> None:
    def multiplier(**given: Any) -> float:
        return plan(
            "MMSegmentation_SegFormer", "visual-segmenter", pretrained_weights="None", **given
        ).backbone_multiplier

    assert (multiplier(), multiplier(base_gradient_multiplier=0.1)) == (1.0, 1.0)
    assert multiplier(base_gradient_multiplier=0.2) == 0.2


def test_a_plan_without_a_strategys_field_does_not_offer_it() -> None:
    assert "label_smoothing" not in find_template("visual-detector", "MMDetection_SSD").defaults()
    assert "stochastic_depth" not in find_template("visual-classifier", "Clarifai_InceptionV2").defaults()
    bare = Template(
        id="x",
        model_type="y",
        description="",
        recipe="",
        backbone="",
        hyperparameters=(),
        plan=lambda values: Plan(1, 1, 0.1),
    )
    assert strategies.with_strategies(bare) is bare
    assert "mixup_alpha" not in strategies.with_strategies(replace(bare, strategies=True)).defaults()
