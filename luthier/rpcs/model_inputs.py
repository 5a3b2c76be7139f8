"""The inputs that a model version learned from, and the lines of its training's log. Next: `model_versions`."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import InputDoesNotExist, InvalidRange, InvalidRequest, shown
from luthier.rpcs.context import MAX_PER_PAGE, Context, Page, page_of
from luthier.rpcs.input_message import failed, shown_inputs
from luthier.rpcs.model_lookup import model_of, version_of, version_or_newest
from luthier.store import inputs, logs, resources, snapshots
from luthier.store.database import Connection
from luthier.store.secrets import signed_log_url
from luthier.store.versions import Version

TRAINING_LOG = "training"
LOG_LINES = 32  # of a page, as the wire says for ListLogEntries


def ListModelInputs(ctx: Context, request: service_pb2.ListModelInputsRequest) -> service_pb2.MultiInputResponse:
    """From the frozen dataset version, labels as they are now. One that was deleted since has its id and 30102.

    Empty until the data is frozen. Without a version_id the newest version counts.
    """
    page = page_of(request)
    with ctx.database.read() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        version = version_or_newest(connection, model, request.version_id)
        frozen = _frozen(connection, version) if version else None
        if version is None or frozen is None or not frozen.manifest:
            return service_pb2.MultiInputResponse()
        concepts = {one["id"] for one in version.request.get("concepts", ())}
        ids = list(islice(_learned(ctx.blobs.path(frozen.manifest), concepts), page.offset, page.offset + page.limit))
        app = resources.app_by_seq(connection, model.app)
        rows = inputs.find_many(connection, model.app, ids)
        there = [rows[id] for id in ids if id in rows]
        messages = {one.id: one for one in shown_inputs(ctx, connection, app, there)} if app else {}
    return service_pb2.MultiInputResponse(inputs=[messages.get(id) or _gone(id) for id in ids])


def ListLogEntries(ctx: Context, request: service_pb2.ListLogEntriesRequest) -> service_pb2.MultiLogEntryResponse:
    """A training's log, an entry per line, oldest first. Without a page the last one, as the wire says.

    Served for log_type "training" and a model version; others, of clusters and pipelines, are not there.
    """
    if request.log_type != TRAINING_LOG or not request.model_id:
        raise InvalidRequest(
            f"log_type is {shown(request.log_type)!r}; {TRAINING_LOG} is served, with model_id and model_version_id"
        )
    per_page = request.per_page or LOG_LINES
    if per_page > MAX_PER_PAGE:
        raise InvalidRange(f"per_page is {per_page}; give 1 to {MAX_PER_PAGE}, maximum {MAX_PER_PAGE}")
    with ctx.database.read() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        version = version_of(connection, model, request.model_version_id)
        number = request.page or _last_page(connection, version, per_page)
        page = Page((number - 1) * per_page, per_page)
        lines = list(islice(_lines(connection, version), page.offset, page.offset + page.limit))
    if not lines:
        return service_pb2.MultiLogEntryResponse()
    url = signed_log_url(ctx.settings, version.id)
    entries = [resources_pb2.LogEntry(message=line, log_type=TRAINING_LOG, url=url) for line in lines]
    return service_pb2.MultiLogEntryResponse(log_entries=entries, page=number, per_page=per_page)


def _frozen(connection: Connection, version: Version) -> snapshots.DatasetVersion | None:
    return snapshots.by_seq(connection, version.dataset_version) if version.dataset_version is not None else None


def _learned(manifest: Path, concepts: set[str]) -> Iterator[str]:
    """Ids of the usable examples that carry a label of one of the concepts, in the manifest's order."""
    with manifest.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if not row.get("invalid") and concepts & row.get("labels", {}).keys():
                yield row["id"]


def _gone(id: str) -> resources_pb2.Input:
    return failed(id, InputDoesNotExist("it was deleted after the training"))


def _last_page(connection: Connection, version: Version, per_page: int) -> int:
    lines = sum(1 for _ in _lines(connection, version))
    return max(1, -(-lines // per_page))


def _lines(connection: Connection, version: Version) -> Iterator[str]:
    """The log's lines without their ends; a piece of the log may end within a line."""
    rest = ""
    for piece in logs.read(connection, version.seq):
        *whole, rest = (rest + piece).split("\n")
        yield from whole
    if rest:
        yield rest
