"""How far uploaded inputs are: of one upload job, and of a whole app. Next: `inputs`."""

from collections.abc import Mapping

from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import DoesNotExist, InvalidRequest, shown
from luthier.rpcs import codes
from luthier.rpcs.context import Context, app_of, page_of, status, timestamp
from luthier.store import inputs
from luthier.store.database import Connection

_IN_PROGRESS = 30003
_RUNNING, _COMPLETED = 64001, 64002


def GetInputsAddJob(
    ctx: Context, request: service_pb2.GetInputsAddJobRequest
) -> service_pb2.SingleInputsAddJobResponse:
    if not request.id:
        raise InvalidRequest("id is empty; name the job")
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        job = inputs.find_job(connection, app.seq, request.id)
        if job is None:
            raise DoesNotExist(f"inputs add job {shown(request.id)!r} does not exist in this app")
        return service_pb2.SingleInputsAddJobResponse(inputs_add_job=shown_job(connection, job))


def ListInputsAddJobs(
    ctx: Context, request: service_pb2.ListInputsAddJobsRequest
) -> service_pb2.MultiInputsAddJobResponse:
    page = page_of(request)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        found = inputs.page_of_jobs(connection, app.seq, page.offset, page.limit)
        return service_pb2.MultiInputsAddJobResponse(inputs_add_jobs=[shown_job(connection, job) for job in found])


def GetInputCount(ctx: Context, request: service_pb2.GetInputCountRequest) -> service_pb2.SingleInputCountResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        counts = inputs.counts(connection, app.seq)
    pending, running, good, bad = _sorted(counts)
    return service_pb2.SingleInputCountResponse(
        counts=resources_pb2.InputCount(processed=good, to_process=pending, processing=running, errors=bad)
    )


def shown_job(connection: Connection, job: inputs.InputJob) -> resources_pb2.InputsAddJob:
    """Counted from the inputs themselves; items that PostInputs refused at once are in its answer alone."""
    pending, running, good, bad = _sorted(inputs.job_counts(connection, job.seq))
    message = resources_pb2.InputsAddJob(
        id=job.id,
        progress=resources_pb2.InputsAddJobProgress(
            pending_count=pending, in_progress_count=running, success_count=good, failed_count=bad
        ),
        status=status(_RUNNING if pending + running else _COMPLETED),
    )
    message.created_at.CopyFrom(timestamp(job.created_at))
    message.modified_at.CopyFrom(timestamp(job.modified_at))
    return message


def _sorted(counts: Mapping[int, int]) -> tuple[int, int, int, int]:
    """Pending, in progress, good, bad."""
    pending, running, good = (counts.get(code, 0) for code in (codes.INPUT_PENDING, _IN_PROGRESS, codes.INPUT_GOOD))
    return pending, running, good, sum(counts.values()) - pending - running - good
