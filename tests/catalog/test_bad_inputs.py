"""Group H of the bad inputs, as far as the catalog decides: each row's id stands in the test's name."""

import math
from typing import Any

import pytest

from luthier.catalog.model_type import all_templates, find_template
from luthier.catalog.template import Template
from luthier.errors import InvalidTrainingParams

CODE = 21118
TRAINABLE = all_templates()


def classifier(name: str) -> Template:
    return find_template("visual-classifier", name)


RSB, RESNEXT = classifier("MMClassification_ResNet_50_RSB_A1"), classifier("Clarifai_ResNext")


def refusal(template: Template, **given: Any) -> str:
    with pytest.raises(InvalidTrainingParams) as caught:
        template.checked(given)
    assert caught.value.code == CODE
    return caught.value.details


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("MMClassification_ResNet50_RSB_A1", "MMClassification_ResNet_50_RSB_A1"),
        ("clarifai_resnext", "Clarifai_ResNext"),
        ("luthier_tinyresnet", "luthier_tiny_resnet"),
    ],
)
def test_bad_H1_unknown_template_gets_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(InvalidTrainingParams, match=near) as caught:
        find_template("visual-classifier", name)
    assert caught.value.code == CODE


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "x" * 10_000, "\x00", "🦊"])
def test_bad_H1_template_unlike_any_name_gets_all_of_them(name: str) -> None:
    with pytest.raises(InvalidTrainingParams) as caught:
        find_template("visual-classifier", name)
    assert "luthier_tiny_resnet" in caught.value.details
    assert len(caught.value.details) < 1500 and "\x00" not in caught.value.details


def test_bad_H2_unknown_key_gets_the_nearest() -> None:
    assert "did you mean num_epochs?" in refusal(RSB, num_epoch=3)
    assert "it has seed, num_gpus" in refusal(RSB, zzz=3)


@pytest.mark.parametrize("value", [0, -1, 257, 1.5, "8", True, None, [], {}, 1e9, math.nan, math.inf, "", 10**400])
def test_bad_H3_batch_size(value: Any) -> None:
    details = refusal(RSB, batch_size=value)
    assert details.startswith("train_info.params.batch_size is ")
    assert details.endswith("; give a whole number from 1 to 256")


def test_bad_H3_a_text_is_shown_as_a_text() -> None:
    assert 'batch_size is "8";' in refusal(RSB, batch_size="8")
    assert "batch_size is null;" in refusal(RSB, batch_size=None)


def test_bad_H3_whole_numbers_may_arrive_as_doubles() -> None:
    batch_size = RSB.checked({"batch_size": 8.0})["batch_size"]
    assert batch_size == 8 and isinstance(batch_size, int)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 1e9, "0.1", None, True])
def test_bad_H4_per_item_lrate(value: Any) -> None:
    assert "per_item_lrate" in refusal(RSB, per_item_lrate=value)


def test_bad_H4_zero_is_allowed_where_the_template_says_so() -> None:
    assert RSB.plan_for(RSB.checked({"per_item_lrate": 0})).learning_rate == 0


def test_bad_H5_a_gpu_asked_for_by_name_where_there_is_none() -> None:
    with pytest.raises(InvalidTrainingParams, match="no GPU worker online; use 0"):
        RSB.check_gpus({"num_gpus": 1}, gpus_online=0)
    RSB.check_gpus({"num_gpus": 1}, gpus_online=1)
    RSB.check_gpus({"num_gpus": 0}, gpus_online=0)
    RSB.check_gpus({}, gpus_online=0)  # the default asks for nothing


@pytest.mark.parametrize("value", [0, 1, 7, 100_000, [224, 224, 224], [0, 224], [224.5], 224.5])
@pytest.mark.parametrize(
    "template", [one for one in TRAINABLE if "image_size" in one.defaults()], ids=lambda one: one.id
)
def test_bad_H6_image_size(template: Template, value: Any) -> None:
    assert "image_size" in refusal(template, image_size=value)


@pytest.mark.parametrize(
    "template", [one for one in TRAINABLE if "image_size" in one.defaults()], ids=lambda one: one.id
)
def test_bad_H6_a_list_is_taken_only_where_sizes_are_lists(template: Template) -> None:
    if isinstance(template.defaults()["image_size"], tuple):
        assert list(template.checked({"image_size": [224]})["image_size"]) == [224]
    else:
        assert "image_size" in refusal(template, image_size=[224])


@pytest.mark.parametrize(
    ("name", "given", "nearest"),
    [
        ("Clarifai_ResNext", 250, 256),
        ("Clarifai_ResNext", 7, 32),
        ("Clarifai_ResNext", 100_000, 1024),
        ("luthier_vit_dinov2_small", 256, 252),
        ("luthier_vit_dinov2_small", 1, 42),
        ("luthier_vit_dinov2_small", 1024, 1022),
        ("luthier_convnextv2_tiny", 230, 224),
    ],
)
def test_bad_H6_not_a_multiple_of_the_stride_gets_the_nearest(name: str, given: int, nearest: int) -> None:
    template = classifier(name)
    assert refusal(template, image_size=given).endswith(f"; the nearest is {nearest}")
    assert template.checked({"image_size": nearest})["image_size"] == nearest


def test_bad_H6_smaller_than_the_network_takes() -> None:
    template = classifier("Clarifai_InceptionTransferEmbedNorm")
    assert "at least 80 pixels" in refusal(template, image_size=64)
    assert template.checked({"image_size": 80})["image_size"] == 80


def test_bad_H7_init_epochs_not_below_num_epochs() -> None:
    plan = RESNEXT.plan_for(RESNEXT.checked({"num_epochs": 3}))
    assert plan.step_epochs == ()
    assert plan.notes == ("init_epochs 25 is not below num_epochs 3: the learning rate is never cut",)


def test_bad_H7_step_epochs_not_below_num_epochs() -> None:
    plan = RESNEXT.plan_for(RESNEXT.checked({"num_epochs": 8, "init_epochs": 4, "step_epochs": 8}))
    assert plan.step_epochs == (4,)
    assert plan.notes == ("step_epochs 8 is not below num_epochs 8: the learning rate is cut once",)


def test_bad_H7_learning_rate_steps_beyond_the_end_and_out_of_order() -> None:
    template = classifier("MMClassification_ResNet_50")
    plan = template.plan_for(template.checked({"num_epochs": 40}))
    assert plan.step_epochs == (30,)
    assert plan.notes == ("learning_rate_steps 40, 50 lie beyond num_epochs 40: those cuts never come",)
    assert "give epochs that rise" in refusal(template, learning_rate_steps=[30, 20])
    assert "give epochs that rise" in refusal(template, learning_rate_steps=[30, 30])
    for wrong in ([0], [-1], [1.5], ["30"], [None], 30, "30", [math.nan], list(range(1, 80))):
        assert "learning_rate_steps" in refusal(template, learning_rate_steps=wrong)


def test_bad_H7_lowest_rate_above_the_highest() -> None:
    plan = RSB.plan_for(RSB.checked({"per_item_lrate": 1e-9}))
    assert plan.final_learning_rate == plan.learning_rate == pytest.approx(64e-9)
    assert plan.notes == ("per_item_min_lrate is above per_item_lrate: the learning rate stays level",)


def test_bad_H7_early_stopping_after_the_end() -> None:
    template = classifier("luthier_tiny_resnet")
    plan = template.plan_for(template.checked({"num_epochs": 3, "early_stopping_epochs": 3}))
    assert plan.notes == ("early_stopping_epochs 3 is not below num_epochs 3: training never stops early",)


def test_bad_H7_defaults_do_not_contradict_each_other() -> None:
    for template in TRAINABLE:
        notes = template.plan_for(template.checked({})).notes
        bent = ("quantization_config:", "trainer_config.fp16:", "enrich_dataset")  # documented, and told
        assert [note for note in notes if not note.startswith(bent)] == []


@pytest.mark.parametrize(
    ("name", "key", "known"),
    [
        ("classification_basemodel_v1", "model_cfg", "resnext"),
        ("classification_basemodel_v1", "preinit", "general-v1.5"),
        ("classification_basemodel_v1", "inference_crop_type", "sorta2"),
        ("classification_cifar10_v1", "inference_crop_type", "sorta2"),
        ("classification_inception_general_v1_3_transfer_embednorm", "embeddings_layer", "mod5B.concat"),
    ],
)
def test_a_text_without_meaning_here_is_refused(name: str, key: str, known: str) -> None:
    template = classifier(name)
    assert template.checked({key: known})[key] == known
    assert f'give "{known}"' in refusal(template, **{key: "../../x"})
