"""Dataset versions: what was in a dataset at one moment, frozen by a job. Next: `dataset_version_message`."""

from collections.abc import Sequence
from dataclasses import dataclass

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2
from google.protobuf.json_format import MessageToDict

from luthier.errors import DatasetVersionConflict, DoesNotExist, InvalidRequest, shown
from luthier.rpcs import codes
from luthier.rpcs.context import Context, Page, app_of, batch_of, page_of
from luthier.rpcs.dataset_metrics import groups_of
from luthier.rpcs.dataset_version_message import shown_info, shown_version, split_of
from luthier.rpcs.datasets import find_dataset, refuse_in_use
from luthier.rpcs.ids import new_id, plain_id
from luthier.rpcs.patching import action_of, kept, patch
from luthier.rpcs.text_preparation import KEY, preparation_of
from luthier.rpcs.version_filters import read_filter, stored_filter
from luthier.store import dataset_versions, exports, jobs
from luthier.store.database import Connection
from luthier.store.dataset_versions import DatasetVersionRow
from luthier.store.resources import AppRow, Row

FIELDS = ("description", "metadata", "visibility")
_FAILED = 64020


def PostDatasetVersions(
    ctx: Context, request: service_pb2.PostDatasetVersionsRequest
) -> service_pb2.MultiDatasetVersionResponse:
    """Pending versions and the jobs that freeze them, all or none; `metadata.split` sets ratios and seed.

    The annotation filter is the version's own, else the dataset's default.
    """
    sent = batch_of(request.dataset_versions, "dataset_versions")
    checked = [_checked(version) for version in sent]
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        dataset = find_dataset(connection, app, request.dataset_id)
        made = [_create(ctx, connection, app, dataset, new) for new in checked]
    return service_pb2.MultiDatasetVersionResponse(dataset_versions=made)


def GetDatasetVersion(
    ctx: Context, request: service_pb2.GetDatasetVersionRequest
) -> service_pb2.SingleDatasetVersionResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        row = find_version(connection, app, request.dataset_id, request.dataset_version_id)
        shown = _with_exports(ctx, connection, app, [row])
    return service_pb2.SingleDatasetVersionResponse(dataset_version=shown[0])


def ListDatasetVersions(
    ctx: Context, request: service_pb2.ListDatasetVersionsRequest
) -> service_pb2.MultiDatasetVersionResponse:
    page = page_of(request)
    origins = _known(request.request_origins, resources_pb2.DatasetVersionRequestOrigin.values(), "request_origins")
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        dataset = find_dataset(connection, app, request.dataset_id)
        rows = dataset_versions.page(connection, dataset.seq, page.offset, page.limit, origins)
        shown = _with_exports(ctx, connection, app, rows)
    return service_pb2.MultiDatasetVersionResponse(dataset_versions=shown)


def PatchDatasetVersions(
    ctx: Context, request: service_pb2.PatchDatasetVersionsRequest
) -> service_pb2.MultiDatasetVersionResponse:
    """All or none. The split of a version is what it was frozen with and cannot be patched."""
    action, changes = action_of(request.action), batch_of(request.dataset_versions, "dataset_versions")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        patched = [_patch(connection, app, request.dataset_id, change, action) for change in changes]
    return service_pb2.MultiDatasetVersionResponse(dataset_versions=patched)


def DeleteDatasetVersions(ctx: Context, request: service_pb2.DeleteDatasetVersionsRequest) -> status_pb2.BaseResponse:
    """All or none; none while a training needs one of them."""
    ids = batch_of(request.dataset_version_ids, "dataset_version_ids")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        seqs = [find_version(connection, app, request.dataset_id, id).seq for id in ids]
        refuse_in_use(connection, seqs)
        for seq in seqs:
            jobs.request_cancel(connection, "snapshot", seq, ctx.caller.user_id)
        for export in (one for made in exports.of_versions(connection, seqs).values() for one in made):
            jobs.request_cancel(connection, "export", export.seq, ctx.caller.user_id)
        dataset_versions.remove(connection, seqs)
    return status_pb2.BaseResponse()


def ListDatasetVersionMetricsGroups(
    ctx: Context, request: service_pb2.ListDatasetVersionMetricsGroupsRequest
) -> service_pb2.MultiDatasetVersionMetricsGroupResponse:
    """Nothing until the version is ready: the published SDK asks again as long as an answer has only its status."""
    page = page_of(request)
    _known(request.types, resources_pb2.DatasetVersionMetricsGroupType.values(), "types")
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        row = find_version(connection, app, request.dataset_id, request.dataset_version_id)
    if row.status == _FAILED:
        raise DatasetVersionConflict(f"the version could not be made: {row.details}; make another")
    groups = list(groups_of(row.counts)) if row.status == codes.DATASET_VERSION_READY else []
    wanted = _filtered(groups, request, page)
    return service_pb2.MultiDatasetVersionMetricsGroupResponse(dataset_version_metrics_groups=wanted)


def _with_exports(
    ctx: Context, connection: Connection, app: AppRow, rows: Sequence[DatasetVersionRow]
) -> list[resources_pb2.DatasetVersion]:
    versions = [shown_version(row, app) for row in rows]
    made = exports.of_versions(connection, [row.seq for row in rows])
    for row, version in zip(rows, versions, strict=True):
        if row.seq in made:
            version.export_info.CopyFrom(shown_info(ctx.settings, made[row.seq]))
    return versions


def _known(sent: Sequence[int], known: Sequence[int], field: str) -> list[int]:
    """Numbers of an enum, each once; gRPC carries others too, which no version and no group has."""
    strange = set(sent) - set(known)
    if strange:
        raise InvalidRequest(f"{field} holds {min(strange)}; give some of {sorted(known)}")
    return sorted(set(sent))


@dataclass(frozen=True)
class _New:
    """A version that was asked for, checked as far as that goes without the database."""

    id: str
    message: resources_pb2.DatasetVersion
    split: dict[str, float]


def _checked(sent: resources_pb2.DatasetVersion) -> _New:
    read_filter(sent.annotation_filter_config.annotation_filter)
    message = kept(sent, (*FIELDS, "annotation_filter_config"))
    preparation_of(message.metadata)
    return _New(plain_id(sent.id, "dataset_versions.id") if sent.id else new_id(), message, split_of(message.metadata))


def _create(ctx: Context, connection: Connection, app: AppRow, dataset: Row, new: _New) -> resources_pb2.DatasetVersion:
    default = resources_pb2.Dataset.FromString(dataset.message).default_annotation_filter
    config = new.message.annotation_filter_config
    wanted = stored_filter(connection, app.seq, config, default)
    if default.ByteSize() and not config.HasField("annotation_filter"):
        config.annotation_filter.CopyFrom(default)
    seq = dataset_versions.create(
        connection,
        app.seq,
        dataset.seq,
        new.id,
        new.message.SerializeToString(),
        split=new.split,
        annotation_filter=wanted,
    )
    jobs.enqueue(connection, "snapshot", "data", ctx.caller.user_id, {"dataset_version": seq}, subject=seq)
    return shown_version(find_version(connection, app, dataset.id, new.id), app)


def find_version(connection: Connection, app: AppRow, dataset_id: str, id: str) -> DatasetVersionRow:
    dataset = find_dataset(connection, app, dataset_id)
    if not id:
        raise InvalidRequest("dataset_version_id is empty; name the version")
    row = dataset_versions.find(connection, dataset.seq, id)
    if row is None:
        raise DoesNotExist(f"version {shown(id)!r} of dataset {shown(dataset_id)!r} does not exist")
    return row


def _patch(
    connection: Connection, app: AppRow, dataset_id: str, change: resources_pb2.DatasetVersion, action: str
) -> resources_pb2.DatasetVersion:
    row = find_version(connection, app, dataset_id, change.id)
    stored = resources_pb2.DatasetVersion.FromString(row.message)
    fixed = {name: _of_metadata(stored, name) for name in ("split", KEY)}
    patch(stored, change, action, FIELDS)
    config = stored.annotation_filter_config
    if change.HasField("annotation_filter_config") and change.annotation_filter_config != config:
        raise InvalidRequest(
            "annotation_filter_config cannot be changed after a version was made; make another version"
        )
    for name, value in fixed.items():
        if _of_metadata(stored, name) != value:
            raise InvalidRequest(f"metadata.{name} cannot be changed after a version was made; make another version")
    dataset_versions.set_message(connection, row.seq, stored.SerializeToString())
    return shown_version(find_version(connection, app, dataset_id, change.id), app)


def _of_metadata(version: resources_pb2.DatasetVersion, name: str) -> object:
    return MessageToDict(version.metadata).get(name)


def _filtered(
    groups: Sequence[resources_pb2.DatasetVersionMetricsGroup],
    request: service_pb2.ListDatasetVersionMetricsGroupsRequest,
    page: Page,
) -> list[resources_pb2.DatasetVersionMetricsGroup]:
    found = [
        group
        for group in groups
        if (not request.types or group.type in request.types)
        and (not request.values or group.value in request.values)
        and (not request.parent_paths or group.parent_path in request.parent_paths)
    ]
    unpaged = not request.page and not request.per_page  # the SDK asks once, for all
    return found if unpaged else found[page.offset : page.offset + page.limit]
