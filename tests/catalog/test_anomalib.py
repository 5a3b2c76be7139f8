"""Anomalib's configuration: what is read of it, what is refused; and which concept is that of good pictures."""

from typing import Any

import pytest

from luthier.catalog.anomaly import AnomalyPlan, good_concepts
from luthier.catalog.model_type import find_template
from luthier.errors import InvalidTrainingParams

TEMPLATE = find_template("visual-anomaly-heatmap", "Anomalib_PatchCore")


def plan(config: Any) -> AnomalyPlan:
    made = TEMPLATE.plan_for(TEMPLATE.checked({"anomalib_config_json": config}))
    assert isinstance(made, AnomalyPlan)
    return made


def refusal(config: Any) -> str:
    with pytest.raises(InvalidTrainingParams) as caught:
        TEMPLATE.checked({"anomalib_config_json": config})
    assert caught.value.code == 21118
    assert caught.value.details.startswith("train_info.params.anomalib_config_json")
    return caught.value.details.removeprefix("train_info.params.anomalib_config_json")


@pytest.mark.parametrize("empty", ["", "  ", "{}", {}])
def test_nothing_and_an_empty_text_as_the_snippet_sends_it_take_the_papers_settings(empty: Any) -> None:
    made = plan(empty)
    assert (made.body, made.strides, made.neighbours) == ("timm/wide_resnet50_2.tv_in1k", (8, 16), 9)
    assert (made.image_size, made.coreset_ratio, made.epochs) == (256, 0.1, 1)
    assert TEMPLATE.weights(TEMPLATE.checked({})) == "timm/wide_resnet50_2.tv_in1k"


@pytest.mark.parametrize(
    "config",
    [
        {"backbone": "resnet18", "layers": ["layer1", "layer3"], "coreset_sampling_ratio": 0.01, "image_size": 128},
        {
            "model": {
                "class_path": "anomalib.models.Patchcore",
                "init_args": {"backbone": "resnet18", "layers": ["layer1", "layer3"], "coreset_sampling_ratio": 0.01},
            },
            "data": {"init_args": {"image_size": [128, 128]}},
        },
        {
            "model": {
                "name": "patchcore", "backbone": "resnet18", "layers": ["layer1", "layer3"],
                "coreset_sampling_ratio": 0.01,
            },
            "dataset": {"image_size": 128.0},
        },
        '{"model": {"backbone": "resnet18", "layers": ["layer1", "layer3"], "coreset_sampling_ratio": 0.01},'
        ' "image_size": 128}',
    ],
)  # fmt: skip
def test_the_same_settings_in_every_form_they_come_in(config: Any) -> None:
    made = plan(config)
    assert (made.body, made.strides) == ("timm/resnet18.tv_in1k", (4, 16))
    assert (made.coreset_ratio, made.image_size) == (0.01, 128)


def test_without_pre_trained_the_network_is_random() -> None:
    values = TEMPLATE.checked({"anomalib_config_json": {"model": {"init_args": {"pre_trained": False}}}})
    assert TEMPLATE.weights(values) == ""
    assert TEMPLATE.weights(TEMPLATE.checked({"pretrained_weights": "None"})) == ""


@pytest.mark.parametrize("value", ["{", "[1]", "null", 3, True, None, [], "[" * 100_000, '{"a": NaN'])
def test_bad_H8_what_is_no_object(value: Any) -> None:
    assert "; give a JSON object with keys of backbone, layers" in refusal(value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"bakbone": "resnet18"}, ".bakbone: there is no such key; did you mean backbone?"),
        ({"model": {"init_args": {"num_neighbours": 3}}}, ".model.init_args.num_neighbours: there is no such key"),
        ({"backbone": "vgg"}, '.backbone is "vgg"; give one of wide_resnet50_2, resnet50, resnet18'),
        ({"layers": ["layer3", "layer2"]}, ".layers is "),
        ({"layers": "layer2"}, ".layers is "),
        ({"layers": []}, "give a list of some of layer1, layer2, layer3, layer4, in this order"),
        ({"coreset_sampling_ratio": 0}, ".coreset_sampling_ratio is 0; give a number from 0.0001 to 1"),
        ({"num_neighbors": 1.5}, ".num_neighbors is 1.5; give a whole number from 1 to 50"),
        ({"image_size": [256, 224]}, ".image_size is [256, 224]; give a whole number from 32 to 1024"),
        ({"image_size": "256"}, '.image_size is "256"; give'),
        ({"data": 3}, ".data is 3; give a JSON object"),
        ({"backbone": "resnet18", "model": {"backbone": "resnet18"}}, " says backbone in two places; give it once"),
    ],
)
def test_bad_H8_wrong_keys_and_values_are_named_with_their_path(config: Any, says: str) -> None:
    assert says in refusal(config)


@pytest.mark.parametrize(
    "config",
    [
        {"model": {"class_path": "os.system"}},
        {"model": {"class_path": "anomalib.models.Patchcore; import os"}},
        {"model": {"name": "__import__('os').system('true')"}},
        {"trainer": {"callbacks": [{"class_path": "os.system"}]}},
        {"class_path": "os.system"},
        {"model": {"init_args": {"backbone": {"class_path": "os.system"}}}},
        {"data": {"init_args": {"root": "/etc"}}},
        {"ckpt_path": "/etc/passwd"},
    ],
)
def test_bad_H11_a_class_is_a_name_out_of_a_list_and_nothing_else_gets_through(config: Any) -> None:
    refused = refusal(config)
    assert "; give one of " in refused or "there is no such key" in refused


# -- the concept of good pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concepts", "named", "good"),
    [
        (["good", "scratch"], "", {"good"}),
        (["Normal", "dent"], "", {"Normal"}),
        (["Defect-Free", "no_anomaly", "hole"], "", {"Defect-Free", "no_anomaly"}),
        (["bottle"], "", {"bottle"}),
        (["anomaly"], "", set()),
        (["Not-Good"], "", set()),
        (["scratch", "dent"], "", set()),
        (["a", "b"], "b", {"b"}),
    ],
)
def test_the_concept_of_good_pictures(concepts: list[str], named: str, good: set[str]) -> None:
    assert good_concepts([(f"id-{name}" if not named else name, name) for name in concepts], named) == {
        f"id-{name}" if not named else name for name in good
    }


def test_a_good_concept_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidTrainingParams, match=r"good_concept is 'fine'.*good, bad.*name one"):
        good_concepts([("good", "good"), ("bad", "bad")], "fine")
