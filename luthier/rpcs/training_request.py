"""A wire ModelVersion that asks for a training -> everything that the training needs, checked. Next: `training_data`.

Nothing is queued before all of this has passed: who waits for an hour should not learn then of a typing error.
"""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2

from luthier.catalog import weights
from luthier.catalog.anomaly import good_of
from luthier.catalog.model_type import find_template, input_kind, templates_of
from luthier.catalog.template import Template
from luthier.errors import InvalidPredictRequest, InvalidRequest, InvalidTrainingParams, MissingWeights, shown
from luthier.rpcs import text_preparation, training_data
from luthier.rpcs.context import Context
from luthier.rpcs.estimates import PLATFORM_KEYS, estimate, length_of_texts
from luthier.rpcs.model_lookup import model_of, version_or_newest
from luthier.rpcs.model_message import without_own
from luthier.rpcs.patching import kept
from luthier.rpcs.prediction_settings import to_store
from luthier.rpcs.struct_values import plain
from luthier.rpcs.training_data import NamedData
from luthier.rpcs.transfer_request import is_transfer, settled
from luthier.settings import Settings
from luthier.store import training_requests
from luthier.store.database import Connection
from luthier.store.models import ModelRow
from luthier.store.training_requests import ConceptRow
from luthier.store.versions import Status, Version

FIELDS = ("description", "metadata", "visibility", "license")  # of a version, that clients set and patch
DEFAULT_TOLERANCE = 5.0  # percent


@dataclass(frozen=True)
class TrainingRequest:
    """`request` is what the version's row keeps and the worker reads; `message` is what clients get to see again."""

    template: Template
    request: dict[str, Any]
    message: bytes
    data: NamedData


def read(
    ctx: Context, connection: Connection, model: ModelRow, sent: resources_pb2.ModelVersion, description: str
) -> TrainingRequest:
    """Raises the LuthierError whose code says what is wrong, 21110 to 21118 for most of it."""
    params, base = plain(sent.train_info.params), {}
    if is_transfer(model.model_type):
        transfer = settled(ctx, connection, model, sent, params)
        params, base = transfer.params, transfer.base
    template = _template(model, params)
    given = {name: value for name, value in params.items() if name not in PLATFORM_KEYS}
    values = _values(template, given, sent.output_info.output_config)
    template.check_gpus(given, training_requests.gpu_workers(connection))
    resumed = _resumed(ctx, connection, model, template, values, sent.train_info)
    if resumed is None:
        _check_weights(ctx.settings, template, template.weights(values))
    tolerance = _percent(params, "invalid_data_tolerance_percent", DEFAULT_TOLERANCE)
    replay = _percent(params, "replay_percent", 0.0)
    if replay and not resumed:
        raise InvalidTrainingParams(
            f"train_info.params.replay_percent is {replay:g}, but there is no training whose data could be mixed in: "
            "name it in train_info.resume_from_model, or leave replay_percent out"
        )
    plan = template.plan_for(values)
    most = min(ctx.settings.max_concepts_per_model, plan.most_concepts)
    if plan.learns_concepts:
        concepts = training_data.concepts_of(connection, model, sent.output_info.data.concepts, most)
    else:
        concepts = training_data.no_concepts(model, sent.output_info.data.concepts)
    data = training_data.dataset_of(connection, model, sent.train_info, params)
    preparation = text_preparation.of_training(connection, template, params, data)
    kind = input_kind(template)
    found = training_data.learnable(connection, model, concepts, data, kind, regions=plan.learns_regions)
    good = good_of(plan, [(one.id, one.name) for one in concepts])
    if good is not None:
        training_data.check_good(found, concepts, good)
    else:
        alone = plan.learns_regions  # a single concept is then told from the background
        training_data.check_learnable(found, concepts, _exclusive(template, values), single_allowed=alone)
    length = length_of_texts(connection, model, values, data.dataset)
    seconds = estimate(connection, template, values, found.split, length).seconds
    request = {
        "template": template.id,
        "given": given,
        "hyperparameters": values,
        "concepts": [{"id": one.id, "name": one.name} for one in concepts],
        "dataset_id": _named(params, "dataset_id", sent.train_info.dataset.id),
        "dataset_version_id": _named(params, "dataset_version_id", sent.train_info.dataset.version.id),
        "invalid_data_tolerance_percent": tolerance,
        "replay_percent": replay,
        "resume_from": {"model_id": resumed.model_id, "version_id": resumed.id} if resumed else None,
        "base": base,
        "text_preparation": preparation,
        "estimated_seconds": seconds,
        "text_bytes": length,
        "seed": _seed(values),
    }
    return TrainingRequest(template, request, _message(sent, concepts, most, description), data)


def _template(model: ModelRow, params: Mapping[str, Any]) -> Template:
    listed = ", ".join(one.id for one in templates_of(model.model_type))
    if not listed:
        raise InvalidTrainingParams(
            f"model {shown(model.id)!r} is a {model.model_type}: this version of Luthier trains no model of that type"
        )
    name = params.get("template")
    if not isinstance(name, str) or not name:
        given = "missing" if name in (None, "") else shown(name)
        raise InvalidTrainingParams(f"train_info.params.template is {given}; give one of {listed}")
    return find_template(model.model_type, name)


def _values(template: Template, given: Mapping[str, Any], config: resources_pb2.OutputConfig) -> dict[str, Any]:
    """Every hyperparameter, checked. output_config's older flag means softmax where the hyperparameters say nothing."""
    wished = dict(given)
    names = {parameter.name for parameter in template.hyperparameters}
    if config.concepts_mutually_exclusive:
        for name, softmax in (("concepts_mutually_exclusive", True), ("logreg", 0)):
            if name in names:
                wished.setdefault(name, softmax)
    values = template.checked(wished)
    if config.concepts_mutually_exclusive and not _exclusive(template, values):
        raise InvalidTrainingParams(
            "output_info.output_config.concepts_mutually_exclusive is true, but the hyperparameters of "
            f"{template.id} let several concepts fit one input; make them agree"
        )
    return values


def _exclusive(template: Template, values: Mapping[str, Any]) -> bool:
    return bool(getattr(template.plan_for(values), "mutually_exclusive", True))


def _check_weights(settings: Settings, template: Template, name: str) -> None:
    """Raises MissingWeights at once where nobody could fetch them later."""
    if not name or weights.find(settings.weights_folder, name):
        return
    own = name.startswith(weights.OWN_PREFIX)
    if settings.offline or not weights.fetched_when_needed(template, name):
        forbidden = " (this server is set to fetch none itself)" if settings.offline and not own else ""
        with weights.or_random_ones(template):
            raise MissingWeights(f"{name} is not in the weights folder{forbidden}; {weights.how_to_get(name)}")


def _percent(params: Mapping[str, Any], name: str, default: float) -> float:
    value = params.get(name, default)
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not 0 <= value <= 100:
        raise InvalidTrainingParams(f"train_info.params.{name} is {shown(value)}; give a number from 0 to 100")
    return float(value)


def _seed(values: Mapping[str, Any]) -> int:
    """The one that was given; -1, or a template without one, draws it."""
    given = int(values.get("seed", -1))
    return given if given >= 0 else secrets.randbelow(2**31)


def _named(params: Mapping[str, Any], name: str, typed: str) -> str:
    return str(params.get(name) or typed)


# -- incremental training ----------------------------------------------------------------------------------------------


def _resumed(
    ctx: Context,
    connection: Connection,
    model: ModelRow,
    template: Template,
    values: Mapping[str, Any],
    train_info: resources_pb2.TrainInfo,
) -> Version | None:
    """The version whose checkpoint the training starts from; raises InvalidTrainingParams, ModelDoesNotExist."""
    if not train_info.HasField("resume_from_model"):
        return None
    wanted = train_info.resume_from_model
    if not wanted.id and not wanted.model_version.id:
        return None
    if not wanted.id:
        raise InvalidRequest("train_info.resume_from_model.id is empty; name the model whose version you mean")
    where = resources_pb2.UserAppIDSet(user_id=wanted.user_id or model.user_id, app_id=wanted.app_id or model.app_id)
    other = model_of(ctx, connection, where, wanted.id)
    version = version_or_newest(connection, other, wanted.model_version.id)
    fault = _fault(version, model, other, template.backbone_for(values))
    if fault or version is None:
        which = wanted.model_version.id or "the newest version"
        raise InvalidTrainingParams(
            f"train_info.resume_from_model names {shown(other.id)!r}, {shown(which)}: {fault}; name a trained version "
            f"of a {model.model_type} with the network of {template.id}, or leave it out"
        )
    return version


def _fault(version: Version | None, model: ModelRow, other: ModelRow, backbone: str) -> str:
    if version is None:
        return "the model has no version"
    if other.model_type != model.model_type:
        return f"it is a {other.model_type}"
    if version.status in (Status.QUEUED, Status.TRAINING):
        return "it is still being trained"
    if not version.checkpoint:
        return "it has no checkpoint"
    before = find_template(other.model_type, version.template)
    if before.backbone_for(version.request["hyperparameters"]) != backbone:
        return f"it was trained with {before.id}, which has another network"
    return ""


# -- what clients see again --------------------------------------------------------------------------------------------


def _message(
    sent: resources_pb2.ModelVersion, concepts: list[ConceptRow], most_concepts: int, description: str
) -> bytes:
    message: resources_pb2.ModelVersion = kept(sent, FIELDS)
    message.description = message.description or description
    without_own(message.metadata)
    message.train_info.params.CopyFrom(sent.train_info.params)
    _drop_kindless(message.train_info)
    if sent.train_info.HasField("dataset"):
        dataset = sent.train_info.dataset
        message.train_info.dataset.id = dataset.id
        message.train_info.dataset.version.id = dataset.version.id
    if sent.train_info.HasField("resume_from_model"):
        before = sent.train_info.resume_from_model
        message.train_info.resume_from_model.id = before.id
        message.train_info.resume_from_model.model_version.id = before.model_version.id
    named = [{"id": one.id, "name": one.name} for one in concepts]
    try:
        message.output_info.CopyFrom(to_store(sent.output_info, named, most_concepts))
    except InvalidPredictRequest as error:
        raise InvalidTrainingParams(f"output_info: {error.details}") from error
    data: bytes = message.SerializeToString()
    return data


def _drop_kindless(train_info: resources_pb2.TrainInfo) -> None:
    """A Value without a kind cannot be written as JSON; it counted as missing, so it is not kept."""
    checked = plain(train_info.params)
    train_info.params.Clear()
    train_info.params.update(checked)
