"""Inputs out of uploads: archives and tables, read by the worker. Next: `uploads`, `add_jobs`, `worker/import_job`.

On the wire an import is an extraction job of an inputs add job. What became of each item: ListImportItems.
"""

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import MessageToDict

from luthier.errors import DoesNotExist, InvalidRequest, NotServed, UploadExpired, UploadInProgress, shown
from luthier.rpcs.add_jobs import shown_job
from luthier.rpcs.context import Context, app_of, batch_of, page_of, status
from luthier.rpcs.ids import new_id, plain_id
from luthier.rpcs.import_message import cancel, shown_import
from luthier.rpcs.input_message import check_kept
from luthier.rpcs.labels import labels_of
from luthier.store import datasets, imports, inputs, jobs, uploads
from luthier.store.database import Connection
from luthier.store.imports import Import, Request
from luthier.store.resources import AppRow
from luthier.store.uploads import UploadRow
from luthier.wire import luthier_pb2

MOST_COLUMNS = 100  # that a request renames
_REFUSE, _SKIP = 0, 1  # InputIDConflictResolution


def PostInputsUploads(
    ctx: Context, request: service_pb2.PostInputsUploadsRequest
) -> service_pb2.MultiInputsAddJobResponse:
    """All or none; several uploads may go into one add job. Asked for again, the import that is there is answered."""
    batch = batch_of(request.inputs_uploads, "inputs_uploads")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        made = [_one(ctx, connection, app, sent) for sent in batch]
        shown_jobs = [shown_job(connection, job) for job in made]
    return service_pb2.MultiInputsAddJobResponse(inputs_add_jobs=shown_jobs)


def ImportUpload(ctx: Context, request: luthier_pb2.ImportUploadRequest) -> service_pb2.SingleInputsAddJobResponse:
    """The same for one upload, with a word on its columns and on rows that cannot be read."""
    if len(request.columns) > MOST_COLUMNS:
        raise InvalidRequest(f"columns names {len(request.columns)} columns; at most {MOST_COLUMNS}")
    sent = resources_pb2.InputsUpload(
        inputs_add_job_id=request.inputs_add_job_id,
        upload=resources_pb2.Upload(id=request.upload_id),
        input_id_conflict_resolution=request.input_id_conflict_resolution,
        input_template=request.input_template,
    )
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        job = _one(ctx, connection, app, sent, dict(request.columns), request.keep_good)
        return service_pb2.SingleInputsAddJobResponse(inputs_add_job=shown_job(connection, job))


def PostInputsDataSources(
    ctx: Context, request: service_pb2.PostInputsDataSourcesRequest
) -> service_pb2.MultiInputsAddJobResponse:
    """Not served: buckets of cloud storage are not read, and no credentials of theirs are taken, let alone kept."""
    with ctx.database.read() as connection:
        app_of(ctx, connection, request.user_app_id)
    raise NotServed(
        "PostInputsDataSources: cloud storage is not read; pack the files into a .zip or .tar.gz and send it with "
        "PostUploads, or send each file's URL with PostInputs"
    )


def ListImportItems(ctx: Context, request: luthier_pb2.ListImportItemsRequest) -> luthier_pb2.MultiImportItemResponse:
    page = page_of(request)
    if not request.inputs_add_job_id:
        raise InvalidRequest("inputs_add_job_id is empty; name the job")
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        job = inputs.find_job(connection, app.seq, request.inputs_add_job_id)
        if job is None:
            raise DoesNotExist(f"inputs add job '{shown(request.inputs_add_job_id)}' does not exist in this app")
        seqs = [one.seq for one in imports.of_jobs(connection, [job.seq]).get(job.seq, [])]
        found = imports.items(connection, seqs, page.offset, page.limit, rejected_only=request.rejected_only)
    items = [
        luthier_pb2.ImportItem(
            number=item.number, name=item.name, input_id=item.input_id, status=status(item.status, details=item.details)
        )
        for item in found
    ]
    return luthier_pb2.MultiImportItemResponse(items=items)


# -- extraction jobs ---------------------------------------------------------------------------------------------------


def GetInputsExtractionJob(
    ctx: Context, request: service_pb2.GetInputsExtractionJobRequest
) -> service_pb2.SingleInputsExtractionJobResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        found = _found(connection, app, request.inputs_extraction_job_id)
    return service_pb2.SingleInputsExtractionJobResponse(inputs_extraction_job=shown_import(found))


def ListInputsExtractionJobs(
    ctx: Context, request: service_pb2.ListInputsExtractionJobsRequest
) -> service_pb2.MultiInputsExtractionJobResponse:
    page = page_of(request)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = imports.page(connection, app.seq, page.offset, page.limit)
    return service_pb2.MultiInputsExtractionJobResponse(inputs_extraction_jobs=map(shown_import, rows))


def CancelInputsExtractionJobs(
    ctx: Context, request: service_pb2.CancelInputsExtractionJobsRequest
) -> service_pb2.MultiInputsExtractionJobResponse:
    """What has been accepted stays; one that has ended stays as it is."""
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        found = [_found(connection, app, id) for id in batch_of(request.ids, "ids")]
        for one in found:
            cancel(connection, one, ctx.caller.user_id)
        rows = [_found(connection, app, one.id) for one in found]
    return service_pb2.MultiInputsExtractionJobResponse(inputs_extraction_jobs=map(shown_import, rows))


# -- starting one ------------------------------------------------------------------------------------------------------


def _one(
    ctx: Context,
    connection: Connection,
    app: AppRow,
    sent: resources_pb2.InputsUpload,
    columns: dict[str, str] | None = None,
    keep_good: bool = False,
) -> inputs.InputJob:
    job_id = plain_id(sent.inputs_add_job_id, "inputs_add_job_id") if sent.inputs_add_job_id else new_id()
    upload = _whole_upload(connection, app, sent.upload.id)
    request = _request(connection, app, sent, upload, columns or {}, keep_good)
    job = inputs.input_job(connection, app.seq, job_id)
    if any(one.upload == upload.seq for one in imports.of_jobs(connection, [job.seq]).get(job.seq, [])):
        return job  # a client that has not heard our answer asks again
    made = imports.add(connection, app.seq, new_id(), job.seq, upload.seq, request)
    jobs.enqueue(connection, "import", "data", ctx.caller.user_id, {}, subject=made.seq)
    return job


def _whole_upload(connection: Connection, app: AppRow, id: str) -> UploadRow:
    if not id:
        raise InvalidRequest("upload.id is empty; name the upload that PostUploads made")
    row = uploads.find(connection, app.seq, id)
    if row is None:
        raise DoesNotExist(f"upload '{shown(id)}' does not exist in this app")
    if row.gone:
        raise UploadExpired(f"upload {id}: {row.details}; begin a new upload")
    if row.status != uploads.Status.DONE:
        missing = uploads.first_gap(uploads.parts(connection, row.seq))
        raise UploadInProgress(
            f"upload {id}: {row.received} of {row.content_length} bytes are here; go on from byte {missing}"
        )
    return row


def _request(
    connection: Connection,
    app: AppRow,
    sent: resources_pb2.InputsUpload,
    upload: UploadRow,
    columns: dict[str, str],
    keep_good: bool,
) -> Request:
    if sent.input_id_conflict_resolution not in (_REFUSE, _SKIP):
        raise InvalidRequest("input_id_conflict_resolution: SUFFIX is not served; leave it out or give SKIP")
    template = sent.input_template
    _check_template(template)
    missing = set(template.dataset_ids) - set(datasets.seqs(connection, app.seq, set(template.dataset_ids)))
    if missing:
        raise DoesNotExist(f"dataset_ids: dataset '{shown(min(missing))}' does not exist in this app")
    return Request(
        content_name=upload.content_name,
        dataset_ids=tuple(dict.fromkeys(template.dataset_ids)),
        labels={id: (label.name, label.value) for id, label in labels_of(template.data.concepts).items()},
        metadata=MessageToDict(template.data.metadata),
        columns=columns,
        keep_good=keep_good,
        skip=sent.input_id_conflict_resolution == _SKIP,
    )


def _check_template(template: resources_pb2.Input) -> None:
    """It holds what every input gets; ids and contents come from the data."""
    filled = {field.name for field, _ in template.data.ListFields()} - {"concepts", "metadata"}
    if template.id or filled:
        held = "an id" if template.id else f"data.{min(filled)}"
        raise InvalidRequest(f"input_template holds {held}; give dataset_ids, data.concepts and data.metadata only")
    kept = resources_pb2.Input()
    kept.data.metadata.CopyFrom(template.data.metadata)
    check_kept(kept)


def _found(connection: Connection, app: AppRow, id: str) -> Import:
    if not id:
        raise InvalidRequest("the id of the extraction job is empty; name it")
    found = imports.find(connection, app.seq, id)
    if found is None:
        raise DoesNotExist(f"extraction job '{shown(id)}' does not exist in this app")
    return found
