"""ListModelTypes as the published SDK reads it, with the SDK's own functions."""

from typing import Any

import pytest
from clarifai.constants.model import TRAINABLE_MODEL_TYPES
from clarifai.utils import model_train
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import MessageToDict

from luthier.catalog.model_type import templates_of
from luthier.errors import DoesNotExist, InvalidRequest
from luthier.rpcs.context import Context
from luthier.rpcs.model_types import GetModelType, ListModelTypes
from tests.rpcs.trainable import IN_APP

TRAINED = [template.id for template in templates_of("visual-classifier")]


@pytest.fixture
def every(ctx: Context) -> service_pb2.MultiModelTypeResponse:
    return ListModelTypes(ctx, service_pb2.ListModelTypesRequest(user_app_id=IN_APP))


def fields_of(model_type: resources_pb2.ModelType) -> list[resources_pb2.ModelTypeField]:
    own = list(model_type.model_type_fields)
    return own + [
        inner for field in own for option in field.model_type_enum_options for inner in option.model_type_fields
    ]


def test_unpaged_all_types_come_and_classifiers_first(every: service_pb2.MultiModelTypeResponse) -> None:
    ids = [one.id for one in every.model_types]
    assert ids[0] == "visual-classifier"
    assert set(TRAINABLE_MODEL_TYPES) <= set(ids)


def test_pages(ctx: Context) -> None:
    def page(number: int, size: int) -> list[str]:
        request = service_pb2.ListModelTypesRequest(user_app_id=IN_APP, page=number, per_page=size)
        return [one.id for one in ListModelTypes(ctx, request).model_types]

    assert page(1, 20)[0] == "visual-classifier"
    assert page(1, 2) + page(2, 2) == page(1, 4)
    assert page(9, 20) == []


def test_every_field_has_what_the_clients_need(every: service_pb2.MultiModelTypeResponse) -> None:
    for model_type in every.model_types:
        assert model_type.model_type_fields, "an empty list is not rendered, and the guides' code walks it"
        for field in fields_of(model_type):
            assert field.placeholder == field.path.split(".")[-1]
            assert len(field.path.split(".")) >= 2
            assert field.field_type and field.description
        for field in model_type.model_type_fields:
            for option in field.model_type_enum_options:
                assert option.id
                assert option.model_type_fields or not field.path.endswith(".template"), option.id


def test_false_flags_are_absent_and_empty_defaults_are_there(every: service_pb2.MultiModelTypeResponse) -> None:
    classifier = MessageToDict(every.model_types[0], preserving_proto_field_name=True)
    fields: dict[str, Any] = {field["path"]: field for field in classifier["model_type_fields"]}
    assert "internal_only" not in fields["train_info.params.template"]
    assert fields["output_info.params.min_value"]["default_value"] == 0
    assert fields["output_info.params.select_concepts"]["default_value"] == []
    assert "default_value" not in fields["output_info.data.concepts"]
    assert fields["output_info.data.concepts"]["required"] is True
    tolerance = fields["train_info.params.invalid_data_tolerance_percent"]
    assert (tolerance["field_type"], tolerance["model_type_range_info"]) == ("RANGE", {"max": 100, "step": 1})


def test_template_options_carry_hyperparameters(every: service_pb2.MultiModelTypeResponse) -> None:
    template = next(f for f in every.model_types[0].model_type_fields if f.path.endswith(".template"))
    options = {option.id: option for option in template.model_type_enum_options}
    a1 = options["MMClassification_ResNet_50_RSB_A1"]
    assert a1.recommended and not a1.internal_only
    assert options["classification_cifar10_v1"].internal_only
    assert options["MMClassification_AdvancedConfig"].aliases[0].wildcard_string == "MMClassification"
    fields = {field.placeholder: field for field in a1.model_type_fields}
    assert fields["seed"].internal_only
    assert fields["batch_size"].default_value.number_value == 64
    assert fields["batch_size"].model_type_range_info.max == 256
    weights = fields["pretrained_weights"]
    assert [option.id for option in weights.model_type_enum_options] == ["None", "ImageNet-1k"]
    assert options["MMClassification_ResNet_50"].model_type_fields
    config = {f.placeholder: f for f in options["MMClassification_AdvancedConfig"].model_type_fields}["custom_config"]
    assert config.default_value.WhichOneof("kind") == "string_value"


@pytest.mark.parametrize("template", TRAINED)
def test_sdk_reads_templates_and_parameters(
    every: service_pb2.MultiModelTypeResponse, template: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the SDK writes custom_config into the working directory
    assert template in model_train.response_to_templates(every, "visual-classifier")
    params = model_train.response_to_model_params(every, "visual-classifier", template)
    assert params["inference_params"] == {"select_concepts": []}
    assert all(value is not None for value in params["train_params"].values())
    for name in params["train_params"]:
        info = model_train.response_to_param_info(every, "visual-classifier", name, template)
        assert info["fieldType"] and info["description"]


def test_a_type_by_its_id(ctx: Context) -> None:
    request = service_pb2.GetModelTypeRequest(user_app_id=IN_APP, model_type_id="visual-classifier")
    found = GetModelType(ctx, request).model_type
    assert list(found.input_fields) == ["image"]  # exactly one, or the SDK cannot predict
    assert found.evaluation_type == resources_pb2.EvaluationType.Classification
    with pytest.raises(DoesNotExist, match="visual-classifier"):
        GetModelType(ctx, service_pb2.GetModelTypeRequest(user_app_id=IN_APP, model_type_id="nonsense"))
    with pytest.raises(InvalidRequest):
        GetModelType(ctx, service_pb2.GetModelTypeRequest(user_app_id=IN_APP))
