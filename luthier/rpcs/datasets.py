"""Datasets: named sets of inputs. Next: `dataset_inputs` for what is in them, `dataset_versions` for frozen ones."""

from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import DatasetVersionConflict, DoesNotExist, InvalidRequest, shown
from luthier.rpcs.context import Context, Page, app_of, batch_of, page_of, timestamp, user_of
from luthier.rpcs.dataset_version_message import shown_version
from luthier.rpcs.ids import new_id, plain_id
from luthier.rpcs.listing import wanted_of
from luthier.rpcs.patching import action_of, kept, patch
from luthier.rpcs.version_filters import read_filter
from luthier.store import dataset_versions, resources, tables
from luthier.store.database import Connection
from luthier.store.resources import AppRow, Row, UserRow, Wanted

FIELDS = ("description", "metadata", "visibility", "notes", "default_annotation_filter")
MOST_APPS = 10_000  # of one user, whose datasets are listed together


def PostDatasets(ctx: Context, request: service_pb2.PostDatasetsRequest) -> service_pb2.MultiDatasetResponse:
    """All of the datasets or none."""
    sent = batch_of(request.datasets, "datasets")
    for item in sent:
        read_filter(item.default_annotation_filter)
    new = [
        (plain_id(item.id, "datasets.id") if item.id else new_id(), kept(item, FIELDS).SerializeToString())
        for item in sent
    ]
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = resources.add(connection, tables.datasets, app.seq, new)
        return service_pb2.MultiDatasetResponse(datasets=_shown(connection, app, rows))


def GetDataset(ctx: Context, request: service_pb2.GetDatasetRequest) -> service_pb2.SingleDatasetResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        row = find_dataset(connection, app, request.dataset_id)
        return service_pb2.SingleDatasetResponse(dataset=_shown(connection, app, [row])[0])


def ListDatasets(ctx: Context, request: service_pb2.ListDatasetsRequest) -> service_pb2.MultiDatasetResponse:
    """Of an app; where the call names none, of all apps of the user that the token reaches."""
    page, wanted = page_of(request), wanted_of(request)
    user = None if request.user_app_id.app_id else user_of(ctx, request.user_app_id)
    with ctx.database.read() as connection:
        if user:
            return service_pb2.MultiDatasetResponse(datasets=_of_user(ctx, connection, user, page, wanted))
        app = app_of(ctx, connection, request.user_app_id)
        rows = resources.page(connection, tables.datasets, app.seq, page.offset, page.limit, wanted)
        return service_pb2.MultiDatasetResponse(datasets=_shown(connection, app, rows))


def PatchDatasets(ctx: Context, request: service_pb2.PatchDatasetsRequest) -> service_pb2.MultiDatasetResponse:
    """All of the datasets or none."""
    action, changes = action_of(request.action), batch_of(request.datasets, "datasets")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = [_patch(connection, app, change, action) for change in changes]
        return service_pb2.MultiDatasetResponse(datasets=_shown(connection, app, rows))


def DeleteDatasets(ctx: Context, request: service_pb2.DeleteDatasetsRequest) -> status_pb2.BaseResponse:
    """With their versions; the inputs stay. All of the datasets or none."""
    ids = batch_of(request.dataset_ids, "dataset_ids")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        seqs = [find_dataset(connection, app, id).seq for id in ids]
        refuse_in_use(connection, dataset_versions.of_datasets(connection, seqs))
        resources.remove(connection, tables.datasets, seqs)
    return status_pb2.BaseResponse()


def find_dataset(connection: Connection, app: AppRow, id: str) -> Row:
    if not id:
        raise InvalidRequest("dataset_id is empty; name the dataset")
    row = resources.find(connection, tables.datasets, app.seq, id)
    if row is None:
        raise DoesNotExist(f"dataset {shown(id)!r} does not exist in this app")
    return row


def refuse_in_use(connection: Connection, versions: Sequence[int]) -> None:
    """Raises DatasetVersionConflict where a queued or running training needs one of these dataset versions."""
    used = dataset_versions.trained_on(connection, versions)
    if used:
        training = next(iter(used.values()))
        raise DatasetVersionConflict(
            f"model version {training} is being trained on it; delete or wait for that one first"
        )


def _of_user(
    ctx: Context, connection: Connection, user: UserRow, page: Page, wanted: Wanted
) -> list[resources_pb2.Dataset]:
    """The first of the whole are among the first of each app, so no more of each are read."""
    reached = resources.page(connection, tables.apps, user.seq, 0, MOST_APPS)
    apps = [resources.app_by_seq(connection, app.seq) for app in reached if ctx.caller.app in (None, app.seq)]
    many = page.offset + page.limit
    found = [
        (app, row)
        for app in apps
        if app
        for row in resources.page(connection, tables.datasets, app.seq, 0, many, wanted)
    ]
    found.sort(key=lambda pair: (getattr(pair[1], wanted.order), pair[1].seq), reverse=wanted.descending)
    return [_shown(connection, app, [row])[0] for app, row in found[page.offset : many]]


def _patch(connection: Connection, app: AppRow, change: resources_pb2.Dataset, action: str) -> Row:
    read_filter(change.default_annotation_filter)
    row = find_dataset(connection, app, change.id)
    stored = resources_pb2.Dataset.FromString(row.message)
    patch(stored, change, action, FIELDS)
    resources.set_message(connection, tables.datasets, row.seq, stored.SerializeToString())
    return find_dataset(connection, app, change.id)


def _shown(connection: Connection, app: AppRow, rows: Sequence[Row]) -> list[resources_pb2.Dataset]:
    """Each with its newest version."""
    newest = dataset_versions.newest(connection, [row.seq for row in rows])
    return [_shown_one(app, row, newest.get(row.seq)) for row in rows]


def _shown_one(app: AppRow, row: Row, version: dataset_versions.DatasetVersionRow | None) -> resources_pb2.Dataset:
    dataset = resources_pb2.Dataset.FromString(row.message)
    dataset.id, dataset.app_id, dataset.user_id = row.id, app.id, app.user_id
    dataset.visibility.gettable = dataset.visibility.gettable or resources_pb2.Visibility.Gettable.PRIVATE
    dataset.created_at.CopyFrom(timestamp(row.created_at))
    dataset.modified_at.CopyFrom(timestamp(row.modified_at))
    if version:
        dataset.version.CopyFrom(shown_version(version, app))
    return dataset
