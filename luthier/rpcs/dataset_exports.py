"""Exports of dataset versions: asked for, and asked after, by the same call. Next: `worker/export_job` writes them."""

from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import InvalidRequest
from luthier.rpcs.context import Context, app_of, batch_of
from luthier.rpcs.dataset_version_message import shown_export
from luthier.rpcs.dataset_versions import find_version
from luthier.store import exports, jobs
from luthier.store.database import Connection
from luthier.store.exports import Export, Format


def PutDatasetVersionExports(
    ctx: Context, request: service_pb2.PutDatasetVersionExportsRequest
) -> service_pb2.MultiDatasetVersionExportResponse:
    """Each format is exported once; asking again tells how it stands, with the archive's address once it is there.

    An export that failed says why, once; asking after that begins anew.
    """
    formats = [_format(sent) for sent in batch_of(request.exports, "exports")]
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        version = find_version(connection, app, request.dataset_id, request.dataset_version_id)
        asked = [_ask(ctx, connection, version.seq, format) for format in formats]
        exports.forget(connection, [export.seq for export in asked])
    return service_pb2.MultiDatasetVersionExportResponse(exports=[shown_export(ctx.settings, one) for one in asked])


def _format(sent: resources_pb2.DatasetVersionExport) -> Format:
    if sent.include_embeddings:
        raise InvalidRequest("exports.include_embeddings is not served; leave it out")
    try:
        return Format(sent.format)
    except ValueError:
        known = ", ".join(f"{format.value} ({format.name})" for format in Format)
        raise InvalidRequest(f"exports.format is {sent.format}; give one of {known}") from None


def _ask(ctx: Context, connection: Connection, version: int, format: Format) -> Export:
    export, new = exports.ask(connection, version, format)
    if new:
        jobs.enqueue(connection, "export", "data", ctx.caller.user_id, {}, subject=export.seq)
    return export
