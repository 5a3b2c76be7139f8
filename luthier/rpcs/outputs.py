"""PostModelOutputs: what a trained version says of inputs. Next: `prediction_settings`, then `predictors/client`.

No transaction is open while the model works.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.resources_pb2 import Data
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.catalog.model_type import input_kind_of
from luthier.errors import (
    InvalidPredictRequest,
    LuthierError,
    ModelDoesNotExist,
    ModelQueuedForTraining,
    ModelTraining,
    ModelUntrained,
    TrainingFailed,
    UnsupportedFormat,
    shown,
)
from luthier.rpcs import codes, media
from luthier.rpcs.answers import data_of
from luthier.rpcs.context import MAX_BATCH, Context, attempt, mixed_status, status, status_of_error, timestamp
from luthier.rpcs.fetched import shown_url, with_bytes
from luthier.rpcs.ids import new_id
from luthier.rpcs.model_lookup import model_of, version_of
from luthier.rpcs.model_message import brief_model
from luthier.rpcs.prediction_settings import PredictionSettings, settings_for
from luthier.settings import Settings
from luthier.store import models, versions
from luthier.store.database import Connection, now
from luthier.store.models import ModelRow
from luthier.store.versions import Status, Version

WAIT_SECONDS = 20.0  # for the model to be loaded, before the caller is told to come again
SIGNATURES = "_GET_SIGNATURES"  # what the published SDK asks each model for first
ECHO = b"true"  # stands for the bytes that were sent, which are not sent back


def PostModelOutputs(ctx: Context, request: service_pb2.PostModelOutputsRequest) -> service_pb2.MultiOutputResponse:
    """Of the named version, else of the newest trained one. A bad input gets its own status and spoils no other."""
    if not 1 <= len(request.inputs) <= MAX_BATCH:
        raise InvalidPredictRequest(f"inputs holds {len(request.inputs)} items; send 1 to {MAX_BATCH} in one call")
    with ctx.database.read() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        if _asks_for_signatures(request.inputs):
            return _no_signatures(request.inputs[0])
        version = _trained(connection, model, request.version_id or request.model.model_version.id)
    settings = _settings(ctx, version, _asked_of(request.model))
    contents = with_bytes(ctx, request.inputs)
    kind = input_kind_of(version.model_type, version.template)
    checked = attempt(contents, lambda sent: _content(sent, kind, ctx.settings))
    answers = _predicted(ctx, version, settings, checked)
    outputs = [_output(model, version, sent, answer) for sent, answer in zip(request.inputs, answers, strict=True)]
    return service_pb2.MultiOutputResponse(status=_whole_status(answers), outputs=outputs)


def _asks_for_signatures(inputs: Sequence[resources_pb2.Input]) -> bool:
    metadata = inputs[0].data.metadata.fields
    return len(inputs) == 1 and "_method_name" in metadata and metadata["_method_name"].string_value == SIGNATURES


def _no_signatures(sent: resources_pb2.Input) -> service_pb2.MultiOutputResponse:
    """The answer that makes the SDK use its ordinary predict calls; it wants an output even so."""
    refusal = status_of_error(UnsupportedFormat("models here have no method signatures; send pictures or texts"))
    output = resources_pb2.Output(id=new_id(), status=refusal, created_at=timestamp(now()))
    return service_pb2.MultiOutputResponse(status=refusal, outputs=[output])


def _trained(connection: Connection, model: ModelRow, version_id: str) -> Version:
    """Raises the error whose code is the status of a version that cannot predict."""
    if version_id:
        version = version_of(connection, model, version_id)
    else:
        found = models.newest_trained(connection, model.seq) or versions.newest(connection, model.seq)
        if found is None:
            raise ModelDoesNotExist(f"model {shown(model.id)!r} has no version; train one")
        version = found
    if version.status == Status.TRAINED:
        return version
    raise _not_trained(version)


def _not_trained(version: Version) -> LuthierError:
    if version.status == Status.UNTRAINED:
        return ModelUntrained(f"version {version.id} was never trained; start a training with PostModelVersions")
    if version.status == Status.QUEUED:
        return ModelQueuedForTraining(f"version {version.id} waits for its training to begin; poll GetModelVersion")
    if version.status == Status.TRAINING:
        left = f", about {version.seconds_left} s left" if version.seconds_left > 0 else ""
        return ModelTraining(f"version {version.id} is {version.percent} % trained{left}; poll GetModelVersion")
    return TrainingFailed(f"version {version.id} cannot predict: {version.details}")


def _asked_of(model: resources_pb2.Model) -> resources_pb2.OutputInfo:
    """What a call wants of its predictions: guides send it with the model, the SDK with its version."""
    asked = resources_pb2.OutputInfo()
    asked.CopyFrom(model.output_info)
    asked.MergeFrom(model.model_version.output_info)
    return asked


def _settings(ctx: Context, version: Version, asked: resources_pb2.OutputInfo) -> PredictionSettings:
    stored = resources_pb2.ModelVersion.FromString(version.message).output_info
    return settings_for(stored, asked, version.request["concepts"], ctx.settings.max_concepts_per_model)


@dataclass(frozen=True)
class _Content:
    kind: str  # image, text, video
    data: bytes


def _content(sent: resources_pb2.Input | LuthierError, kind: str, settings: Settings) -> _Content:
    """What one input holds, for a model that reads `kind`; of pictures and videos only the header is read here."""
    if isinstance(sent, LuthierError):
        raise sent
    kinds = [name for name in ("image", "text", "video", "audio") if sent.data.HasField(name)]
    if not kinds:
        raise InvalidPredictRequest(f"data.{kind} is missing; {_TO_SEND[kind]}")
    if kinds == ["video"] and kind == "image":
        media.read_video(sent.data.video.base64, settings.max_video_mb)
        return _Content("video", sent.data.video.base64)
    if kinds != [kind]:
        reads = {"image": "pictures and videos", "text": "texts"}[kind]
        raise UnsupportedFormat(f"data holds {' and '.join(kinds)}; this model reads {reads}: send data.{kind} alone")
    if kind == "text":
        return _Content(kind, media.read_text(sent.data.text.raw.encode(), settings.max_input_mb))
    media.read_image(sent.data.image.base64, settings.max_input_mb)
    return _Content(kind, sent.data.image.base64)


_TO_SEND = {
    "image": "send the picture's bytes as data.image.base64",
    "text": "send the text as data.text.raw",
}


def _predicted(
    ctx: Context, version: Version, settings: PredictionSettings, checked: Sequence[_Content | LuthierError]
) -> list[Data | LuthierError]:
    """An answer or error for each input, in order. Raises ModelLoading, ModelBusy and PredictionFailed for all."""
    good = [item for item in checked if isinstance(item, _Content)]
    folder = ctx.settings.runs_folder / version.run_folder
    found = {}
    for kind in dict.fromkeys(item.kind for item in good):
        parts = [item.data for item in good if item.kind == kind]
        options = {"video": {"sample_ms": settings.sample_ms}, "text": settings.writing}.get(kind, {})
        found[kind] = iter(ctx.predictors.predict(folder, version.checkpoint, kind, parts, WAIT_SECONDS, options))
    return [
        item if isinstance(item, LuthierError) else _answer(next(found[item.kind]), version, settings)
        for item in checked
    ]


def _answer(found: dict[str, Any], version: Version, settings: PredictionSettings) -> Data | LuthierError:
    if "error" in found:
        return _error(int(found["error"]), str(found.get("details", "")))
    return data_of(found, version, settings)


def _error(code: int, details: str) -> LuthierError:
    """The kind of error that has this code, as the predictors' answer gives only the number."""
    for kind in LuthierError.__subclasses__():
        if kind.code == code:
            return kind(details)
    return LuthierError(details)


def _whole_status(answers: Sequence[Data | LuthierError]) -> status_pb2.Status | None:
    """MIXED_STATUS where some inputs failed, the first one's error where all did, None (success) where none did."""
    errors = [answer for answer in answers if isinstance(answer, LuthierError)]
    if len(errors) == len(answers):
        return status_of_error(errors[0])
    return mixed_status(answers)


def _output(
    model: ModelRow, version: Version, sent: resources_pb2.Input, answer: Data | LuthierError
) -> resources_pb2.Output:
    output = resources_pb2.Output(id=new_id(), created_at=timestamp(now()), model=brief_model(model, version))
    output.input.id = sent.id or new_id()
    for kind in ("image", "video"):
        content, echo = getattr(sent.data, kind), getattr(output.input.data, kind)
        if content.base64:
            echo.base64 = ECHO
        if content.url:
            echo.url = shown_url(content.url)
    if isinstance(answer, LuthierError):
        output.status.CopyFrom(status_of_error(answer))
        return output
    output.status.CopyFrom(status(codes.SUCCESS))
    output.data.CopyFrom(answer)
    return output
