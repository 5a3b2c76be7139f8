"""Inputs: pictures and texts, stored once by content. Next: `input_message` for what one holds, `annotations`."""

from collections.abc import Sequence
from dataclasses import dataclass

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import (
    DuplicateInput,
    InputDoesNotExist,
    InvalidRequest,
    LuthierError,
    shown,
)
from luthier.rpcs import codes, labels, memberships, own_annotations, regions
from luthier.rpcs.add_jobs import shown_job
from luthier.rpcs.context import MAX_BATCH, MAX_PER_PAGE, Context, app_of, attempt, batch_of, mixed_status, page_of
from luthier.rpcs.ids import plain_id
from luthier.rpcs.input_message import Sent, check_kept, failed, read, shown_inputs
from luthier.rpcs.marked import keep_masks, with_spans_checked
from luthier.rpcs.patching import action_of, patch
from luthier.store import annotations, datasets, fetches, inputs, jobs
from luthier.store.database import Connection
from luthier.store.inputs import InputRow
from luthier.store.resources import AppRow
from luthier.store.urls import Url

DUPLICATE = "Input has a duplicate ID."  # word for word: the published SDK looks for it and then deletes nothing
_KEEP, _SKIP = 0, 1  # InputIDConflictResolution
Result = InputRow | LuthierError


@dataclass(frozen=True)
class Stored:
    """A checked input whose bytes are on disk under `blob`, or which has none yet but a URL."""

    sent: Sent
    blob: str

    @property
    def url(self) -> Url | None:
        return self.sent.content.url

    @property
    def same_as(self) -> str:
        """What another input of the same id must have to be the same: a hash of the bytes, or of the URL."""
        return self.url.hash if self.url else self.blob


def PostInputs(ctx: Context, request: service_pb2.PostInputsRequest) -> service_pb2.MultiInputResponse:
    """Bytes go to disk first, then all rows in one transaction, with one job that decodes the pictures.

    A bad item gets its own status and spoils no other. The same id with the same bytes again is a success.
    """
    batch = batch_of(request.inputs, "inputs")
    job_id = plain_id(request.inputs_add_job_id, "inputs_add_job_id") if request.inputs_add_job_id else ""
    if request.input_id_conflict_resolution not in (_KEEP, _SKIP):
        raise InvalidRequest("input_id_conflict_resolution: SUFFIX is not served; leave it out or give SKIP")
    with ctx.database.read() as connection:
        app_of(ctx, connection, request.user_app_id)  # before anything is written for it
    checked = _on_disk(ctx, attempt(batch, lambda item: read(ctx, item)))
    keep_masks(ctx, request.user_app_id, [item.sent.regions for item in checked if isinstance(item, Stored)])
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        job = inputs.input_job(connection, app.seq, job_id) if job_id else None
        results = _add(
            ctx, connection, app, checked, job.seq if job else None, request.input_id_conflict_resolution == _SKIP
        )
        answer = _answer(ctx, connection, app, [item.id for item in batch], results)
        if job:
            answer.inputs_add_job.CopyFrom(shown_job(connection, job))
    return answer


def GetInput(ctx: Context, request: service_pb2.GetInputRequest) -> service_pb2.SingleInputResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        row = find_input(connection, app, request.input_id)
        return service_pb2.SingleInputResponse(input=shown_inputs(ctx, connection, app, [row], whole_texts=True)[0])


def ListInputs(ctx: Context, request: service_pb2.ListInputsRequest) -> service_pb2.MultiInputResponse:
    page, code = page_of(request), request.status.code
    if len(request.ids) > MAX_PER_PAGE:
        raise InvalidRequest(f"ids holds {len(request.ids)} ids; give at most {MAX_PER_PAGE}")
    if code and not codes.known(code):
        raise InvalidRequest(f"status.code is {code}; that is no status code")
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = inputs.page(connection, app.seq, page.offset, page.limit, ids=list(request.ids), status=code or None)
        return service_pb2.MultiInputResponse(inputs=shown_inputs(ctx, connection, app, rows))


def PatchInputs(ctx: Context, request: service_pb2.PatchInputsRequest) -> service_pb2.MultiInputResponse:
    """Concepts, metadata, geo, regions and dataset_ids; what else an Input holds cannot be patched and is ignored."""
    action, batch = action_of(request.action), batch_of(request.inputs, "inputs")
    changes = attempt(batch, _change)
    if action != "remove":
        changes = with_spans_checked(
            ctx, request.user_app_id, changes, lambda one: one.sent.id, lambda one: one.regions
        )
        keep_masks(ctx, request.user_app_id, [change.regions for change in changes if isinstance(change, Change)])
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        results = attempt(changes, lambda change: _patch(ctx, connection, app, change, action))
        return _answer(ctx, connection, app, [item.id for item in batch], results)


def DeleteInput(ctx: Context, request: service_pb2.DeleteInputRequest) -> status_pb2.BaseResponse:
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        inputs.remove(connection, [find_input(connection, app, request.input_id).seq])
    return status_pb2.BaseResponse()


def DeleteInputs(ctx: Context, request: service_pb2.DeleteInputsRequest) -> status_pb2.BaseResponse:
    """Those of the ids that are there; without ids nothing, since the SDK calls it so after every upload."""
    if len(request.ids) > MAX_BATCH:
        raise InvalidRequest(f"ids holds {len(request.ids)} ids; give at most {MAX_BATCH}")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = inputs.find_many(connection, app.seq, list(request.ids))
        if request.ids and not rows:
            raise InputDoesNotExist(f"none of these inputs is in this app: {', '.join(map(shown, request.ids[:10]))}")
        inputs.remove(connection, [row.seq for row in rows.values()])
    return status_pb2.BaseResponse()


def find_input(connection: Connection, app: AppRow, id: str) -> InputRow:
    """Raises InvalidRequest for an empty id, InputDoesNotExist for an unknown one."""
    if not id:
        raise InvalidRequest("input_id is empty; name the input")
    row = inputs.find(connection, app.seq, id)
    if row is None:
        raise InputDoesNotExist(f"input {shown(id)!r} does not exist in this app")
    return row


def _answer(
    ctx: Context, connection: Connection, app: AppRow, ids: Sequence[str], results: Sequence[Result]
) -> service_pb2.MultiInputResponse:
    """Each item in its place: the input, or its id with the error's status."""
    rows = [result for result in results if isinstance(result, InputRow)]
    good = iter(shown_inputs(ctx, connection, app, rows))
    items = [
        failed(id, result) if isinstance(result, LuthierError) else next(good)
        for id, result in zip(ids, results, strict=True)
    ]
    return service_pb2.MultiInputResponse(status=mixed_status(results), inputs=items)


# -- adding ------------------------------------------------------------------------------------------------------------


def _on_disk(ctx: Context, checked: Sequence[Sent | LuthierError]) -> list[Stored | LuthierError]:
    arrived = [item for item in checked if isinstance(item, Sent) and not item.content.url and not item.content.blob]
    blobs = iter(ctx.blobs.put_many([item.content.data for item in arrived]) if arrived else ())
    new = {id(item): next(blobs) for item in arrived}
    return [Stored(item, new.get(id(item), item.content.blob)) if isinstance(item, Sent) else item for item in checked]


def _add(
    ctx: Context,
    connection: Connection,
    app: AppRow,
    checked: Sequence[Stored | LuthierError],
    job: int | None,
    skip: bool,
) -> list[Result]:
    """What each item ended as: the row that it made, the row that was there already, or an error."""
    found = _existing(connection, app, checked, skip)
    new = {item.sent.id: item for item in found if isinstance(item, Stored)}
    made = inputs.add(connection, app.seq, [item.sent.row(item.blob) for item in new.values()], job)
    marked = [(row, item.sent.labels, item.sent.regions.regions) for item, row in zip(new.values(), made, strict=True)]
    own_annotations.add(ctx, connection, app, marked)
    _enqueue(ctx, connection, app, list(new.values()), made)
    rows = {row.id: row for row in made}
    results = [rows[item.sent.id] if isinstance(item, Stored) else item for item in found]
    _join_datasets(connection, app, checked, results)
    return results


def _enqueue(
    ctx: Context, connection: Connection, app: AppRow, new: Sequence[Stored], made: Sequence[InputRow]
) -> None:
    """What has a URL is fetched, then checked; what came as bytes is checked."""
    by_url = [(row.seq, item.url) for item, row in zip(new, made, strict=True) if item.url]
    fetches.add(connection, app.seq, by_url)
    pictures = [row.seq for row in made if row.kind == "image" and row.blob]
    if pictures:
        jobs.enqueue(connection, "ingest", "data", ctx.caller.user_id, {"inputs": pictures})
    if by_url:
        jobs.enqueue(connection, "fetch", "data", ctx.caller.user_id, {"rows": [seq for seq, _ in by_url]})


def _existing(
    connection: Connection, app: AppRow, checked: Sequence[Stored | LuthierError], skip: bool
) -> list[Stored | Result]:
    """Each item as it was, or the row that it repeats, or the error that stands against it."""
    ids = {item.sent.id for item in checked if isinstance(item, Stored)}
    rows = inputs.find_many(connection, app.seq, ids)
    own = annotations.own_labels(connection, [row.seq for row in rows.values()]) if rows else {}
    known = datasets.seqs(
        connection, app.seq, {id for item in checked if isinstance(item, Stored) for id in item.sent.dataset_ids}
    )
    seen: dict[str, Stored] = {}
    came_from = fetches.hashes(connection, [row.seq for row in rows.values()]) if rows else {}
    new_urls = {item.url.hash for item in checked if isinstance(item, Stored) and item.url and item.sent.id not in rows}
    urls = fetches.inputs_of(connection, app.seq, new_urls) if new_urls else {}

    def judge(item: Stored) -> Stored | InputRow:
        memberships.require(item.sent.dataset_ids, known)
        row = rows.get(item.sent.id)
        if row is None:
            first = seen.setdefault(item.sent.id, item)
            if first.same_as != item.same_as:
                raise DuplicateInput(DUPLICATE)
            _refuse_same_url(first, urls)
            return first
        values = {label.concept_id: label.value for label in own.get(row.seq, [])}
        same = came_from.get(row.seq) == item.same_as if item.url else row.blob == item.blob
        if skip or (same and labels.patched(values, item.sent.labels, "merge") == values):
            return row
        raise DuplicateInput(DUPLICATE)

    judged = iter(attempt([item for item in checked if isinstance(item, Stored)], judge))
    return [next(judged) if isinstance(item, Stored) else item for item in checked]


def _refuse_same_url(item: Stored, known: dict[str, str]) -> None:
    """`known`: hash of a URL -> id of the input that has it; this item is added."""
    if item.url is None:
        return
    other = known.setdefault(item.url.hash, item.sent.id)
    if other != item.sent.id and not item.sent.content.again:
        raise DuplicateInput(f"input {shown(other)!r} has this URL already; set allow_duplicate_url to add it again")


def _join_datasets(
    connection: Connection, app: AppRow, checked: Sequence[Stored | LuthierError], results: Sequence[Result]
) -> None:
    """Also those that were there already: sending an input again puts it into the dataset that it now names."""
    wanted = [
        (id, result.seq)
        for item, result in zip(checked, results, strict=True)
        if isinstance(item, Stored) and isinstance(result, InputRow)
        for id in item.sent.dataset_ids
    ]
    memberships.join(connection, app, wanted)


# -- patching ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """An item of PatchInputs that has passed every check that needs no database."""

    sent: resources_pb2.Input
    labels: dict[str, labels.Label]
    regions: regions.Sent


def _change(sent: resources_pb2.Input) -> Change:
    found = regions.read(sent.data.regions, partial=True)
    return Change(sent, labels.labels_of(sent.data.concepts), found)


def _patch(ctx: Context, connection: Connection, app: AppRow, change: Change | LuthierError, action: str) -> InputRow:
    """Every check comes before the first write, so that an item that fails has changed nothing."""
    if isinstance(change, LuthierError):
        raise change
    row = find_input(connection, app, change.sent.id)
    found = change.regions.regions
    regions.check_fit(found, row.kind, row.width, row.height)
    stored = resources_pb2.Input.FromString(row.message)
    patch(stored.data, change.sent.data, action, ("metadata", "geo"))
    split = check_kept(stored)
    memberships.check_patch(connection, app, change.sent.dataset_ids, action)
    if change.labels or found:
        own_annotations.patch(ctx, connection, app, row, change.labels, found, action)
    memberships.patch(connection, app, row, change.sent.dataset_ids, action)
    inputs.set_message(connection, row.seq, stored.SerializeToString(), split)
    return find_input(connection, app, row.id)
