"""The declarations against what is documented: names, order, types, ranges, defaults, options, flags, aliases."""

import pytest

from luthier.catalog import strategies
from luthier.catalog.hyperparameters import Enum, Hyperparameter, Json, PythonCode, Range
from luthier.catalog.model_type import find_template
from tests.catalog import documented

DOCUMENTED = documented.read()
TEXTS = documented.texts()
STRATEGIES = set(strategies.names())
ADDED = {"pretrained_weights", "model_size"}  # ours, last; "None" means random weights everywhere


def test_as_many_templates_are_documented_as_we_know_of() -> None:
    # 41 names; detection_msc10 is left out, and three names have no hyperparameters documented
    assert len(DOCUMENTED) + len(TEXTS) == 41 - 1 - 3


@pytest.mark.parametrize("expected", DOCUMENTED, ids=lambda expected: f"{expected.model_type}-{expected.id}")
def test_template_is_declared_as_documented(expected: documented.Documented) -> None:
    template = find_template(expected.model_type, expected.id)
    assert template.recommended == ("recommended" in expected.marks)
    assert template.internal == ("internal" in expected.marks)
    assert [f"also:{alias}" for alias in template.aliases] == [m for m in expected.marks if m.startswith("also:")]
    names = [parameter.name for parameter in template.hyperparameters]
    documented_names = [parameter.name for parameter in expected.parameters]
    assert names[: len(documented_names)] == documented_names
    assert set(names[len(documented_names) :]) - STRATEGIES <= ADDED
    for parameter, wanted in zip(template.hyperparameters, expected.parameters, strict=False):
        assert_as_documented(parameter, wanted)


def assert_as_documented(parameter: Hyperparameter, wanted: documented.Parameter) -> None:
    assert (parameter.kind, parameter.internal) == (wanted.kind, wanted.internal), wanted.name
    if not isinstance(parameter, PythonCode):
        assert plain(parameter.default) == wanted.default, wanted.name
    if isinstance(parameter, Enum):
        assert parameter.options == wanted.options, wanted.name
    if isinstance(parameter, Range):
        assert (parameter.min, parameter.max, parameter.step) == wanted.bounds, wanted.name
    elif wanted.bounds[0] is not None:
        assert getattr(parameter, "min", None) == wanted.bounds[0], wanted.name


def plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("model_type", "id"), sorted(TEXTS), ids=lambda part: part)
def test_text_template_is_declared_as_documented(model_type: str, id: str) -> None:
    template = find_template(model_type, id)
    wanted = TEXTS[model_type, id]
    documented_ones = template.hyperparameters[: len(wanted)]
    assert [(parameter.name, parameter.default) for parameter in documented_ones] == list(wanted.items())
    assert all(isinstance(parameter, Json) for parameter in documented_ones)
    assert template.recommended == (id == "HF_Llama_3_1_8b_instruct_GPTQ_lora")


def test_own_config_texts_have_what_the_platform_fills_in() -> None:
    for model_type, id in (
        ("visual-classifier", "MMClassification_AdvancedConfig"),
        ("visual-detector", "MMDetection_AdvancedConfig"),
        ("visual-segmenter", "MMSegmentation_AdvancedConfig"),
    ):
        text = find_template(model_type, id).defaults()["custom_config"]
        compile(text, "custom_config", "exec")
        toolbox = id.partition("_")[0].lower()
        assert f"_base_ = '/{toolbox}/" in text
        assert "num_classes" in text and "train=dict(" in text and "val=dict(" in text
        assert "classes=''" in text and ("ann_file=''" in text or "ann_dir=''" in text)
