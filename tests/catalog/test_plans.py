"""Documented words -> the engine's words: what each hyperparameter does to the plan."""

from typing import Any

import pytest

from luthier.catalog.model_type import find_template, templates_of
from luthier.catalog.plan import ImagePlan

TRAINABLE = [template for template in templates_of("visual-classifier") if template.backbone_at is None]


def plan(name: str, **given: Any) -> ImagePlan:
    template = find_template("visual-classifier", name)
    made = template.plan_for(template.checked(given))
    assert isinstance(made, ImagePlan)
    return made


def test_rsb_a1_rate_is_per_item_times_batch_along_a_cosine() -> None:
    made = plan("MMClassification_ResNet_50_RSB_A1", batch_size=32)
    assert made.learning_rate == pytest.approx(32 * 1.953125e-05)
    assert made.final_learning_rate == pytest.approx(32 * 1.5625e-08)
    assert (made.optimizer, made.schedule, made.warmup_steps, made.warmup_ratio) == ("lamb", "cosine", 100, 0.0001)


def test_rsb_a1_augments_as_its_recipe_and_judges_concepts_by_themselves() -> None:
    made = plan("MMClassification_ResNet_50_RSB_A1")
    assert (made.mixup_alpha, made.cutmix_alpha, made.random_augment, made.label_smoothing) == (0.2, 1.0, 7, 0.1)
    assert not made.mutually_exclusive
    assert plan("MMClassification_ResNet_50_RSB_A1", concepts_mutually_exclusive=True).mutually_exclusive


def test_square_side_squashes_and_shorter_side_keeps_the_aspect_ratio() -> None:
    for template in TRAINABLE:
        wants = "shorter_side" if template.id.lower().startswith(("clarifai_", "classification_")) else "squash"
        assert plan(template.id).resize == wants, template.id


def test_stepwise_templates_cut_the_rate_after_init_and_then_every_step_epochs() -> None:
    for name in (
        "Clarifai_ResNext",
        "Clarifai_InceptionV2",
        "Clarifai_InceptionBatchNorm",
        "classification_basemodel_v1",
    ):
        made = plan(name)
        assert made.learning_rate == pytest.approx(0.005)  # 64 x 7.8125e-05
        assert (made.schedule, made.step_factor) == ("step", 0.1)
        assert made.step_epochs == (25, 32, 39, 46, 53, 60)
        assert plan(name, num_epochs=6, init_epochs=2, step_epochs=3).step_epochs == (2, 5)


def test_resnet_50_cuts_the_rate_at_listed_epochs() -> None:
    made = plan("MMClassification_ResNet_50", learning_rate_steps=[10, 20], momentum=0.8)
    assert (made.step_epochs, made.momentum, made.optimizer) == ((10, 20), 0.8, "sgd")
    assert plan("MMClassification_ResNet_50", learning_rate_steps=[]).step_epochs == ()


@pytest.mark.parametrize(
    "name", ["Clarifai_ResNext", "Clarifai_InceptionTransferEmbedNorm", "classification_basemodel_v1"]
)
def test_logreg_1_is_sigmoid_and_0_softmax(name: str) -> None:
    assert not plan(name, logreg=1).mutually_exclusive
    assert plan(name, logreg=0).mutually_exclusive


def test_items_per_epoch_reach_the_engine() -> None:
    assert plan("Clarifai_ResNext", num_items_per_epoch=500).examples_per_epoch == 500


def test_transfer_template_normalises_and_tunes_the_backbone_gently() -> None:
    for name in ("Clarifai_InceptionTransferEmbedNorm", "classification_inception_general_v1_3_transfer_embednorm"):
        made = plan(name)
        assert made.normalize_embedding and made.average_flips
        assert (made.learning_rate, made.backbone_multiplier) == (0.1, 0.001)
        assert not plan(name, average_horizontal_flips=False).average_flips
        assert plan(name, base_gradient_multiplier=0).backbone_multiplier == 0


def test_a_random_backbone_learns_at_the_full_rate() -> None:
    assert plan("Clarifai_InceptionTransferEmbedNorm", pretrained_weights="None").backbone_multiplier == 1
    assert plan("luthier_vit_dinov2_small", pretrained_weights="None").backbone_multiplier == 1
    assert plan("luthier_vit_dinov2_small").backbone_multiplier == 0.05


def test_flips_as_asked_and_none_where_a_mirror_changes_the_meaning() -> None:
    made = plan("MMClassification_EfficientNet", flip_probability=0.25, flip_direction="vertical")
    assert (made.flip_probability, made.flip_direction) == (0.25, "vertical")
    assert plan("luthier_tiny_resnet").flip_probability == 0


def test_own_templates_pass_their_words_on() -> None:
    given = {
        "num_epochs": 7, "batch_size": 5, "weight_decay": 0.2, "image_size": 64, "trainable_layers": "head",
        "label_smoothing": 0.05, "early_stopping_epochs": 2, "flip_probability": 0.1, "flip_direction": "vertical",
        "crop_scale_min": 0.5, "shift_fraction": 0.2, "rotate_degrees": 10.0, "random_augment": 3,
        "mixup_alpha": 0.4, "cutmix_alpha": 0.6, "learning_rate": 0.01,
    }  # fmt: skip
    made = plan("luthier_tiny_resnet", **given, warmup_iters=9, concepts_mutually_exclusive=False)
    assert {name: getattr(made, name) for name in given if name != "num_epochs"} == {
        name: value for name, value in given.items() if name != "num_epochs"
    }
    assert (made.epochs, made.warmup_steps, made.mutually_exclusive) == (7, 9, False)


@pytest.mark.parametrize("template", TRAINABLE, ids=lambda template: template.id)
def test_pretrained_weights_none_starts_from_random_weights_everywhere(template: Any) -> None:
    values = template.checked({"pretrained_weights": "None"})
    assert template.weights(values) == ""
    assert template.recipe == "image_classification" and template.backbone


def test_backbones_and_what_they_start_from() -> None:
    starts = {template.id: template.weights(template.defaults()) for template in TRAINABLE}
    assert starts == {
        "MMClassification_ResNet_50_RSB_A1": "timm/resnet50.a1_in1k",
        "MMClassification_ResNet_50": "timm/resnet50.tv_in1k",
        "MMClassification_EfficientNet": "timm/efficientnet_b3.ra2_in1k",
        "Clarifai_ResNext": "timm/resnext50_32x4d.a1_in1k",
        "luthier_resnet18": "timm/resnet18.a1_in1k",
        "classification_basemodel_v1": "timm/resnext50_32x4d.a1_in1k",
        "Clarifai_InceptionV2": "",
        "Clarifai_InceptionBatchNorm": "luthier/bn_inception",
        "Clarifai_InceptionTransferEmbedNorm": "timm/inception_v3.tv_in1k",
        "classification_inception_general_v1_3_transfer_embednorm": "timm/inception_v3.tv_in1k",
        "classification_cifar10_v1": "",
        "luthier_tiny_resnet": "",
        "luthier_convnextv2_tiny": "timm/convnextv2_tiny.fcmae_ft_in22k_in1k",
        "luthier_vit_dinov2_small": "timm/vit_small_patch14_dinov2.lvd142m",
    }
    assert "CC-BY-NC" in find_template("visual-classifier", "luthier_convnextv2_tiny").description
