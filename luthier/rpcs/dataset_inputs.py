"""What is in a dataset. Next: `inputs`, `dataset_versions`."""

from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import DoesNotExist, InputDoesNotExist, InvalidRequest, LuthierError, shown
from luthier.rpcs.context import Context, app_of, attempt, batch_of, mixed_status, page_of, timestamp
from luthier.rpcs.datasets import find_dataset
from luthier.rpcs.input_message import failed, shown_inputs
from luthier.rpcs.input_searches import filters_of
from luthier.rpcs.inputs import find_input
from luthier.store import datasets, input_search, inputs
from luthier.store.database import Connection
from luthier.store.inputs import InputRow
from luthier.store.resources import AppRow

_ADDED_AT_ONCE = 128


def PostDatasetInputs(
    ctx: Context, request: service_pb2.PostDatasetInputsRequest
) -> service_pb2.MultiDatasetInputResponse:
    """By id, or all inputs that a search finds, of another dataset say. What is in already stays as it is."""
    if request.HasField("search"):
        return _add_found(ctx, request)
    batch = batch_of(request.dataset_inputs, "dataset_inputs")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        dataset = find_dataset(connection, app, request.dataset_id)
        known = inputs.find_many(connection, app.seq, {item.input.id for item in batch})
        results = attempt(batch, lambda item: _known(known, item.input.id))
        rows = [result for result in results if isinstance(result, InputRow)]
        datasets.add_members(connection, [(dataset.seq, row.seq) for row in rows])
        good = iter(_shown(ctx, connection, app, dataset.seq, rows))
        items = [
            resources_pb2.DatasetInput(input=failed(item.input.id, result))
            if isinstance(result, LuthierError)
            else next(good)
            for item, result in zip(batch, results, strict=True)
        ]
    return service_pb2.MultiDatasetInputResponse(status=mixed_status(results), dataset_inputs=items)


def ListDatasetInputs(
    ctx: Context, request: service_pb2.ListDatasetInputsRequest
) -> service_pb2.MultiDatasetInputResponse:
    page = page_of(request)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        dataset = find_dataset(connection, app, request.dataset_id)
        members = datasets.page_of_members(connection, dataset.seq, page.offset, page.limit)
        rows = inputs.rows_of(connection, [member.input for member in members])
        ordered = [rows[member.input] for member in members]
        return service_pb2.MultiDatasetInputResponse(dataset_inputs=_shown(ctx, connection, app, dataset.seq, ordered))


def GetDatasetInput(
    ctx: Context, request: service_pb2.GetDatasetInputRequest
) -> service_pb2.SingleDatasetInputResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        dataset = find_dataset(connection, app, request.dataset_id)
        row = find_input(connection, app, request.input_id)
        if not datasets.members(connection, dataset.seq, [row.seq]):
            raise DoesNotExist(f"input {shown(row.id)!r} is not in dataset {shown(dataset.id)!r}")
        return service_pb2.SingleDatasetInputResponse(dataset_input=_shown(ctx, connection, app, dataset.seq, [row])[0])


def DeleteDatasetInputs(ctx: Context, request: service_pb2.DeleteDatasetInputsRequest) -> status_pb2.BaseResponse:
    """Takes them out of the dataset; the inputs stay in the app. Those that are not in it are passed over."""
    ids = batch_of(request.input_ids, "input_ids")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        dataset = find_dataset(connection, app, request.dataset_id)
        rows = inputs.find_many(connection, app.seq, ids)
        found = datasets.members(connection, dataset.seq, [row.seq for row in rows.values()])
        if not found:
            raise DoesNotExist(f"none of these is in dataset {shown(dataset.id)!r}: {', '.join(map(shown, ids[:10]))}")
        datasets.remove_members(connection, [member.seq for member in found.values()])
    return status_pb2.BaseResponse()


def _known(known: dict[str, InputRow], id: str) -> InputRow:
    if id not in known:
        raise InputDoesNotExist(f"input {shown(id)!r} does not exist in this app")
    return known[id]


def _add_found(ctx: Context, request: service_pb2.PostDatasetInputsRequest) -> service_pb2.MultiDatasetInputResponse:
    """In steps of their own, so that a large search holds up nobody; a call that dies half-way can be sent again."""
    filters = filters_of(ctx, request.search)
    if not filters:
        raise InvalidRequest("search.query.filters holds no filter; say which inputs are to go into the dataset")
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        target = find_dataset(connection, app, request.dataset_id)
        for name in dict.fromkeys(name for one in filters for name in one.datasets):
            find_dataset(connection, app, name)
    after = 0
    while True:
        with ctx.database.read() as connection:
            found = input_search.numbers_after(connection, app.seq, filters, after, _ADDED_AT_ONCE)
        if found:
            with ctx.database.write() as connection:
                find_dataset(connection, app, target.id)  # it may have been deleted meanwhile
                there = inputs.rows_of(connection, found)
                datasets.add_members(connection, [(target.seq, seq) for seq in found if seq in there])
        if len(found) < _ADDED_AT_ONCE:
            return service_pb2.MultiDatasetInputResponse()
        after = found[-1]


def _shown(
    ctx: Context, connection: Connection, app: AppRow, dataset: int, rows: Sequence[InputRow]
) -> list[resources_pb2.DatasetInput]:
    members = datasets.members(connection, dataset, [row.seq for row in rows])
    shown_rows = shown_inputs(ctx, connection, app, rows)
    return [
        resources_pb2.DatasetInput(created_at=timestamp(members[row.seq].created_at), input=message)
        for row, message in zip(rows, shown_rows, strict=True)
    ]
