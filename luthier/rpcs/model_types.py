"""Model types and their templates as the wire shows them: fields, defaults, ranges. Next: `models`.

The catalog does not change while the process runs, so each message is built once. What published clients need of it:
every field has a placeholder, a default of 0, "" or [] is a real Value, and an unset one is none at all.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.struct_pb2 import Value

from luthier.catalog import model_type as catalog
from luthier.catalog.hyperparameters import Enum, Hyperparameter, Range
from luthier.catalog.template import Template
from luthier.catalog.type_fields import DATASET
from luthier.errors import DoesNotExist, InvalidRequest, shown
from luthier.rpcs.context import Context, page_of

TEMPLATE_FIELD = "train_info.params.template"
_AT_LEAST = (DATASET,)  # of a type without fields: the guides' browser code walks the fields of every type


def ListModelTypes(ctx: Context, request: service_pb2.ListModelTypesRequest) -> service_pb2.MultiModelTypeResponse:
    """All of them where no page is asked for."""
    every = _messages()
    if not request.page and not request.per_page:
        return service_pb2.MultiModelTypeResponse(model_types=every)
    page = page_of(request)
    return service_pb2.MultiModelTypeResponse(model_types=every[page.offset : page.offset + page.limit])


def GetModelType(ctx: Context, request: service_pb2.GetModelTypeRequest) -> service_pb2.SingleModelTypeResponse:
    if not request.model_type_id:
        raise InvalidRequest("model_type_id is empty; name the model type")
    for message in _messages():
        if message.id == request.model_type_id:
            return service_pb2.SingleModelTypeResponse(model_type=message)
    listed = ", ".join(catalog.MODEL_TYPE_IDS)
    raise DoesNotExist(f"model type {shown(request.model_type_id)!r} does not exist; there are {listed}")


@cache
def _messages() -> tuple[resources_pb2.ModelType, ...]:
    return tuple(_model_type(declared) for declared in catalog.all_model_types())


def _model_type(declared: catalog.ModelType) -> resources_pb2.ModelType:
    return resources_pb2.ModelType(
        id=declared.id,
        title=declared.title,
        description=declared.description,
        input_fields=declared.input_fields,
        output_fields=declared.output_fields,
        trainable=declared.trainable,
        creatable=True,
        evaluation_type=resources_pb2.EvaluationType.Value(declared.evaluation_type),
        model_type_fields=[_field(field, declared.id) for field in declared.fields or _AT_LEAST],
    )


def _field(declared: catalog.Field, model_type_id: str) -> resources_pb2.ModelTypeField:
    field = _base(declared.path, declared.kind, declared.description, declared.default)
    field.required = declared.required
    _set_range(field, declared.min, declared.max, declared.step)
    if declared.path == TEMPLATE_FIELD:
        field.model_type_enum_options.extend(_template(one) for one in catalog.templates_of(model_type_id))
    else:
        field.model_type_enum_options.extend(_options(declared.options))
    return field


def _template(template: Template) -> resources_pb2.ModelTypeEnumOption:
    return resources_pb2.ModelTypeEnumOption(
        id=template.id,
        description=template.description,
        aliases=[resources_pb2.ModelTypeEnumOptionAlias(wildcard_string=alias) for alias in template.aliases],
        model_type_fields=[_hyperparameter(parameter) for parameter in template.hyperparameters],
        internal_only=template.internal,
        recommended=template.recommended,
    )


def _hyperparameter(parameter: Hyperparameter) -> resources_pb2.ModelTypeField:
    field = _base(f"train_info.params.{parameter.name}", parameter.kind, parameter.description, parameter.default)
    field.internal_only = parameter.internal
    if isinstance(parameter, Enum):
        field.model_type_enum_options.extend(_options(parameter.options))
    if isinstance(parameter, Range):  # the bounds of other numbers are our own; published clients expect none
        _set_range(field, parameter.min, parameter.max, parameter.step or parameter.grid)
    return field


def _base(path: str, kind: str, description: str, default: Any) -> resources_pb2.ModelTypeField:
    return resources_pb2.ModelTypeField(
        path=path,
        field_type=resources_pb2.ModelTypeField.ModelTypeFieldType.Value(kind),
        description=description,
        placeholder=path.rpartition(".")[2],
        default_value=None if default is None else _value(default),
    )


def _set_range(field: resources_pb2.ModelTypeField, low: float | None, high: float | None, step: float | None) -> None:
    """The wire has no word for "no bound": zero, which is not sent, stands for both."""
    if low is None and high is None and not step:
        return
    field.model_type_range_info.CopyFrom(resources_pb2.ModelTypeRangeInfo(min=low or 0, max=high or 0, step=step or 0))


def _options(ids: Iterable[str]) -> list[resources_pb2.ModelTypeEnumOption]:
    return [resources_pb2.ModelTypeEnumOption(id=id) for id in ids]


def _value(default: Any) -> Value:
    value = Value()
    if isinstance(default, bool):
        value.bool_value = default
    elif isinstance(default, int | float):
        value.number_value = default
    elif isinstance(default, str):
        value.string_value = default
    elif isinstance(default, dict):
        value.struct_value.update(default)
    else:
        value.list_value.values.extend(_value(item) for item in default)
    return value
