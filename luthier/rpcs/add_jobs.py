"""How far uploaded inputs are: of one upload job, and of a whole app. Next: `inputs`."""

from collections.abc import Mapping, Sequence

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import DoesNotExist, InvalidRequest, shown
from luthier.rpcs import codes
from luthier.rpcs.context import Context, app_of, page_of, status, timestamp
from luthier.rpcs.import_message import cancel, shown_import
from luthier.store import imports, input_changes, inputs
from luthier.store.database import Connection
from luthier.store.resources import AppRow

_RUNNING, _COMPLETED, _FAILED, _CANCELLED = 64001, 64002, 64003, 64004


def GetInputsAddJob(
    ctx: Context, request: service_pb2.GetInputsAddJobRequest
) -> service_pb2.SingleInputsAddJobResponse:
    if not request.id:
        raise InvalidRequest("id is empty; name the job")
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        return service_pb2.SingleInputsAddJobResponse(
            inputs_add_job=shown_job(connection, _found(connection, app, request.id))
        )


def ListInputsAddJobs(
    ctx: Context, request: service_pb2.ListInputsAddJobsRequest
) -> service_pb2.MultiInputsAddJobResponse:
    page = page_of(request)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        found = inputs.page_of_jobs(connection, app.seq, page.offset, page.limit)
        return service_pb2.MultiInputsAddJobResponse(inputs_add_jobs=[shown_job(connection, job) for job in found])


def CancelInputsAddJob(
    ctx: Context, request: service_pb2.CancelInputsAddJobRequest
) -> service_pb2.SingleInputsAddJobResponse:
    """Inputs that wait to be looked at get the status 30002 and are never decoded; the others stay as they are.

    A job that has ended is left alone. A later PostInputs with the same id goes on as usual.
    """
    if not request.id:
        raise InvalidRequest("id is empty; name the job")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        job = _found(connection, app, request.id)
        stopped = input_changes.cancel_pending(connection, job.seq, f"cancelled by {ctx.caller.user_id}")
        for one in imports.of_jobs(connection, [job.seq]).get(job.seq, []):
            cancel(connection, one, ctx.caller.user_id)
        message = shown_job(connection, job)
        if stopped:
            message.status.CopyFrom(status(_CANCELLED))
    return service_pb2.SingleInputsAddJobResponse(inputs_add_job=message)


def GetInputCount(ctx: Context, request: service_pb2.GetInputCountRequest) -> service_pb2.SingleInputCountResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        counts = inputs.counts(connection, app.seq)
    pending, running, good, bad = _sorted(counts)
    return service_pb2.SingleInputCountResponse(
        counts=resources_pb2.InputCount(processed=good, to_process=pending, processing=running, errors=bad)
    )


def shown_job(connection: Connection, job: inputs.InputJob) -> resources_pb2.InputsAddJob:
    """Counted from the inputs themselves; items that PostInputs refused at once are in its answer alone.

    To these come the items of its imports that became no input of this job: read later, there already, or rejected.
    """
    pending, running, good, bad = _sorted(inputs.job_counts(connection, job.seq))
    made_of = imports.of_jobs(connection, [job.seq]).get(job.seq, [])
    pending += sum(one.left for one in made_of if one.status == imports.Status.QUEUED)
    running += sum(one.left for one in made_of if one.status != imports.Status.QUEUED)
    message = resources_pb2.InputsAddJob(
        id=job.id,
        progress=resources_pb2.InputsAddJobProgress(
            pending_count=pending,
            in_progress_count=running,
            success_count=good + sum(one.present for one in made_of),
            failed_count=bad + sum(one.rejected for one in made_of),
        ),
        extraction_jobs=map(shown_import, made_of),
        status=status(_RUNNING) if pending + running else _ended(made_of),
    )
    message.created_at.CopyFrom(timestamp(job.created_at))
    message.modified_at.CopyFrom(timestamp(max([job.modified_at, *(one.modified_at for one in made_of)])))
    return message


def _ended(made_of: Sequence[imports.Import]) -> status_pb2.Status:
    """Failed or cancelled where one of its imports is, which then says why."""
    for one in made_of:
        if one.status == imports.Status.CANCELLED:
            return status(_CANCELLED, details=one.details)
        if one.status != imports.Status.DONE:
            return status(_FAILED, details=f"{one.status} {one.details}")
    return status(_COMPLETED)


def _found(connection: Connection, app: AppRow, id: str) -> inputs.InputJob:
    job = inputs.find_job(connection, app.seq, id)
    if job is None:
        raise DoesNotExist(f"inputs add job {shown(id)!r} does not exist in this app")
    return job


def _sorted(counts: Mapping[int, int]) -> tuple[int, int, int, int]:
    """Pending, in progress, good, bad."""
    pending, running, good = (
        counts.get(code, 0) for code in (codes.INPUT_PENDING, codes.INPUT_IN_PROGRESS, codes.INPUT_GOOD)
    )
    return pending, running, good, sum(counts.values()) - pending - running - good
