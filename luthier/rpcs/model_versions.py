"""Model versions: PostModelVersions starts a training, DeleteModelVersion ends it. Next: `training_request`.

Luthier's own CancelModelVersion, which keeps the version, is in `luthier_service`.
"""

from collections.abc import Callable
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import InvalidModel, InvalidRequest, LimitExceeded, ModelDoesNotExist, shown
from luthier.rpcs import text_preparation, training_request
from luthier.rpcs.context import Context, batch_of, page_of
from luthier.rpcs.ids import new_id
from luthier.rpcs.model_lookup import model_and_version, model_of, version_of
from luthier.rpcs.model_message import model_message, stored_message, version_message, without_own
from luthier.rpcs.patching import action_of, patch
from luthier.rpcs.training_request import TrainingRequest
from luthier.rpcs.version_filters import default_filter
from luthier.store import dataset_versions, jobs, models, versions
from luthier.store.database import Connection
from luthier.store.models import ModelRow
from luthier.store.versions import Status, Version

_KEYS: dict[str, Callable[[Version], Any]] = {
    "sort_by_created_at": lambda version: version.seq,
    "sort_by_status_code": lambda version: version.status,
    "sort_by_num_inputs": lambda version: version.input_count,
    "sort_by_description": lambda version: resources_pb2.ModelVersion.FromString(version.message).description,
}


def PostModelVersions(ctx: Context, request: service_pb2.PostModelVersionsRequest) -> service_pb2.SingleModelResponse:
    """Queues a training and returns at once; the answer is the model with its new version."""
    sent = _only_version(request)
    with ctx.database.read() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        wanted = training_request.read(ctx, connection, model, sent, request.description)
    with ctx.database.write() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)  # it may be gone by now
        _check_queue(ctx, connection)
        version = _queue(ctx, connection, model, wanted)
    return service_pb2.SingleModelResponse(model=model_message(model, version, ctx.settings))


def GetModelVersion(
    ctx: Context, request: service_pb2.GetModelVersionRequest
) -> service_pb2.SingleModelVersionResponse:
    with ctx.database.read() as connection:
        if not request.version_id:
            raise InvalidRequest("version_id is empty; name the model version")
        stored = model_and_version(ctx, connection, request.user_app_id, request.model_id, request.version_id)
    return service_pb2.SingleModelVersionResponse(model_version=stored_message(stored, ctx.settings).model_version)


def ListModelVersions(
    ctx: Context, request: service_pb2.ListModelVersionsRequest
) -> service_pb2.MultiModelVersionResponse:
    """Newest first, unless sorted otherwise. Concepts are left out of lists; GetModelVersion shows them."""
    page = page_of(request)
    flags = [name for name in _KEYS if getattr(request, name)]
    plain_list = not (flags or request.trained_only or request.concept_ids or request.sort_ascending)
    with ctx.database.read() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        if plain_list:
            found = versions.page(connection, model.seq, page.offset, page.limit)
        else:
            every = versions.page(connection, model.seq, 0, versions.count(connection, model.seq))
            kept = [version for version in every if _is_wanted(version, request)]
            kept.sort(key=_KEYS[flags[0] if flags else "sort_by_created_at"], reverse=not request.sort_ascending)
            found = kept[page.offset : page.offset + page.limit]
    shown_versions = [version_message(version, ctx.settings, whole=False) for version in found]
    return service_pb2.MultiModelVersionResponse(model_versions=shown_versions)


def PatchModelVersions(
    ctx: Context, request: service_pb2.PatchModelVersionsRequest
) -> service_pb2.MultiModelVersionResponse:
    """Description, metadata, visibility and license; all of the versions or none."""
    action, changes = action_of(request.action), batch_of(request.model_versions, "model_versions")
    with ctx.database.write() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        patched = [_patch(connection, model, change, action) for change in changes]
    answers = [version_message(version, ctx.settings) for version in patched]
    return service_pb2.MultiModelVersionResponse(model_versions=answers)


def DeleteModelVersion(ctx: Context, request: service_pb2.DeleteModelVersionRequest) -> status_pb2.BaseResponse:
    """The row goes at once; a training that waits never starts, one that runs is stopped by its worker."""
    with ctx.database.write() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        version = version_of(connection, model, request.version_id)
        jobs.request_cancel(connection, "training", version.seq, ctx.caller.user_id)
        versions.delete(connection, version.seq)
        models.touch(connection, model.seq)
    return status_pb2.BaseResponse()


def _only_version(request: service_pb2.PostModelVersionsRequest) -> resources_pb2.ModelVersion:
    if len(request.model_versions) != 1:
        raise InvalidRequest(f"model_versions holds {len(request.model_versions)} items; send exactly one")
    if request.HasField("eval_info"):
        raise InvalidRequest(
            "eval_info is not served by this version of Luthier; leave it out: every training is judged on the test "
            "split, and the figures stand in the version's metadata"
        )
    version = request.model_versions[0]
    if version.HasField("pretrained_model_config"):
        raise InvalidModel("pretrained_model_config: uploaded networks are not served by this version of Luthier")
    return version


def _check_queue(ctx: Context, connection: Connection) -> None:
    waiting, most = jobs.waiting(connection, ctx.caller.user_id, "training"), ctx.settings.queued_jobs_per_user
    if waiting >= most:
        raise LimitExceeded(
            f"{waiting} of your trainings are waiting; at most {most} may: try again when some have begun"
        )


def _queue(ctx: Context, connection: Connection, model: ModelRow, wanted: TrainingRequest) -> Version:
    """The version, its dataset version where none was named, and the job: in the caller's transaction."""
    if wanted.data.version is not None:
        dataset_version = wanted.data.version.seq
    else:
        id = f"auto-generated-{new_id()[:12]}"
        message = resources_pb2.DatasetVersion(description=f"Made for a training of model {model.id}")
        if preparation := wanted.request["text_preparation"]:
            message.metadata.update({text_preparation.KEY: preparation})
        dataset_version = dataset_versions.create(
            connection,
            model.app,
            wanted.data.dataset,
            id,
            message.SerializeToString(),
            origin=dataset_versions.TRAINING,
            annotation_filter=default_filter(connection, model.app, wanted.data.dataset),
        )
    seq = versions.create(
        connection,
        model.seq,
        new_id(),
        wanted.message,
        status=Status.QUEUED,
        template=wanted.template.id,
        request=wanted.request,
        dataset_version=dataset_version,
    )
    jobs.enqueue(connection, "training", "training", ctx.caller.user_id, {"version": seq}, subject=seq)
    models.touch(connection, model.seq)
    version = versions.by_seq(connection, seq)
    if version is None:
        raise ModelDoesNotExist(f"model {shown(model.id)!r} was deleted meanwhile")
    return version


def _is_wanted(version: Version, request: service_pb2.ListModelVersionsRequest) -> bool:
    if request.trained_only and version.status != Status.TRAINED:
        return False
    ids = {concept["id"] for concept in version.request.get("concepts", ())}
    return set(request.concept_ids) <= ids


def _patch(connection: Connection, model: ModelRow, change: resources_pb2.ModelVersion, action: str) -> Version:
    version = version_of(connection, model, change.id)
    stored = resources_pb2.ModelVersion.FromString(version.message)
    wished = resources_pb2.ModelVersion()
    wished.CopyFrom(change)
    without_own(wished.metadata)
    patch(stored, wished, action, training_request.FIELDS)
    versions.patch_message(connection, version.seq, stored.SerializeToString())
    return version_of(connection, model, change.id)
