"""How long would this training take? Answered from measurements on this machine. Next: `training_time`, the arithmetic.

A calibration is a few measured steps of a template at one image size and batch size on one device. Where the one that
is needed is not there yet, the nearest is scaled, the answer says "first estimate", and a worker is asked to measure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.duration_pb2 import Duration

from luthier.catalog import cost, hyperparameters
from luthier.catalog.model_type import find_any_template, input_kind, templates_of
from luthier.catalog.template import Template
from luthier.errors import InvalidRange, InvalidRequest, InvalidTrainingParams
from luthier.rpcs import codes, training_time
from luthier.rpcs.context import Context, batch_of, status
from luthier.rpcs.model_lookup import model_of
from luthier.rpcs.struct_values import plain
from luthier.rpcs.training_data import NamedData, dataset_of
from luthier.rpcs.training_time import Workload
from luthier.rpcs.transfer_request import is_transfer, settled
from luthier.store import calibrations, jobs, training_requests
from luthier.store.database import Connection
from luthier.store.models import ModelRow

PLATFORM_KEYS = (  # of train_info.params, beside the hyperparameters
    *("template", "dataset_id", "dataset_version_id", "invalid_data_tolerance_percent", "replay_percent"),
    "text_preparation",
)
# hyperparameters that say what a step costs
MEASURED_WITH = ("image_size", "batch_size", "model_size", "custom_config")
MOST_INPUTS = 1_000_000_000
MOST_GFLOPS_ON_CPU = 750.0  # of one batch, forward: what is dearer would keep a processor from training for minutes


@dataclass(frozen=True)
class Estimate:
    seconds: float
    basis: str  # "" where every cost was measured for exactly this, else where the costs come from
    to_measure: dict[str, Any] | None = None  # payload of the calibration job that would make it exact


def PostModelVersionsTrainingTimeEstimate(
    ctx: Context, request: service_pb2.PostModelVersionsTrainingTimeEstimateRequest
) -> service_pb2.MultiTrainingTimeEstimateResponse:
    """One duration per version, in whole seconds. Templates of every model type may be asked about on any model."""
    asked = batch_of(request.model_versions, "model_versions")
    with ctx.database.read() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        found = [_estimate_of(ctx, connection, model, version, request.estimated_input_count) for version in asked]
    ask_for_measurement(ctx, [estimate.to_measure for estimate in found if estimate.to_measure])
    details = "; ".join(dict.fromkeys(estimate.basis for estimate in found if estimate.basis))
    return service_pb2.MultiTrainingTimeEstimateResponse(
        status=status(codes.SUCCESS, details=details),
        training_time_estimates=[Duration(seconds=max(1, math.ceil(estimate.seconds))) for estimate in found],
    )


def length_of_texts(connection: Connection, model: ModelRow, values: Mapping[str, Any], dataset: int | None) -> float:
    """Bytes that are read of a text of the dataset, of the app where None, on average; 0 where no texts are there."""
    most = cost.bytes_read(values)
    return training_requests.mean_text_bytes(connection, model.app, dataset, most) if most else 0.0


def estimate(
    connection: Connection,
    template: Template,
    values: Mapping[str, Any],
    split: tuple[int, int, int],
    text_bytes: float = 0.0,
) -> Estimate:
    """For checked or default `values` and that many train, validation and test items, texts of `text_bytes`."""
    work = training_time.workload(template, values, split, text_bytes)
    device, kind = calibrations.current_device(connection) or ("cpu/1", "cpu")
    if template.embedder:
        seconds = training_time.transfer_seconds(work, sum(split), device, kind)
        return Estimate(seconds, "first estimate: each input embedded once")
    size = training_time.image_size_of(values)
    found = calibrations.find(connection, template.id, template.model_type, size, work.batch_size, device)
    if found and training_time.costs_alike(found, work):
        return Estimate(training_time.training_seconds(work, training_time.scaled(found, work)), "")
    near = training_time.nearest(calibrations.all_for(connection, device), template, work)
    costs = training_time.scaled(near, work) if near else training_time.assumed(device, kind, work)
    source = f"scaled from a measurement of {near.template}" if near else "nothing was measured on this machine yet"
    seconds = training_time.training_seconds(work, costs)
    too_dear = kind == "cpu" and template.gflops_for(values) * work.batch_size > MOST_GFLOPS_ON_CPU
    # one network of a template is kept for each size and batch: another would be measured in its place, in turns
    payload = None if too_dear or found else _payload(template, values, work, size, device)
    return Estimate(seconds, f"first estimate: {source}", payload)


def ask_for_measurement(ctx: Context, payloads: list[dict[str, Any]]) -> None:
    """Enqueues a calibration job for each payload that none waits for yet."""
    if not payloads:
        return
    with ctx.database.write() as connection:
        for payload in payloads:
            if not training_requests.calibration_asked(connection, payload):
                jobs.enqueue(connection, "calibration", "training", ctx.caller.user_id, payload, priority=-1)


def template_named(model_type_id: str, name: Any) -> Template:
    """Among the model's own templates first, since several types have one of the same name; then among all."""
    if not isinstance(name, str) or not name:
        raise InvalidTrainingParams("train_info.params.template is missing; name a template of ListModelTypes")
    own = [one for one in templates_of(model_type_id) if name == one.id or name in one.aliases]
    return own[0] if own else find_any_template(name)


def _estimate_of(
    ctx: Context, connection: Connection, model: ModelRow, version: resources_pb2.ModelVersion, count: int
) -> Estimate:
    params = plain(version.train_info.params)
    if is_transfer(model.model_type):
        params = settled(ctx, connection, model, version, params).params
    template = template_named(model.model_type, params.get("template"))
    given = {name: value for name, value in params.items() if name not in PLATFORM_KEYS}
    values = hyperparameters.check(template.hyperparameters, given, template.id)
    template.plan_for(values)
    if count > MOST_INPUTS:
        raise InvalidRange(f"estimated_input_count is {count}; give at most {MOST_INPUTS}")
    named = NamedData() if count else dataset_of(connection, model, version.train_info, params)
    split = training_time.split_of(count) if count else _split(connection, model, named, input_kind(template))
    length = length_of_texts(connection, model, values, named.dataset)
    return estimate(connection, template, values, split, length)


def _split(connection: Connection, model: ModelRow, named: NamedData, kind: str) -> tuple[int, int, int]:
    """Train, validation and test items of the data that was named."""
    if named.frozen:
        return named.frozen_split
    counted = training_requests.input_count(connection, model.app, kind, named.dataset)
    if not counted:
        raise InvalidRequest("estimated_input_count is 0 and there are no inputs; say how many you will train on")
    return training_time.split_of(counted)


def _payload(template: Template, values: Mapping[str, Any], work: Workload, size: int, device: str) -> dict[str, Any]:
    """What the calibration job is told."""
    return {
        "template": template.id,
        "model_type": template.model_type,
        "hyperparameters": {name: values[name] for name in MEASURED_WITH if name in values},
        "image_size": size,
        "batch_size": work.batch_size,
        "device": device,  # so that another device is measured anew
    }
