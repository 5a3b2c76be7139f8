"""An import as the wire shows it: an extraction job of an inputs add job. Next: `imports`, `add_jobs`."""

from clarifai_grpc.grpc.api import resources_pb2

from luthier.rpcs.context import status, timestamp
from luthier.store import imports, jobs
from luthier.store.database import Connection
from luthier.store.imports import Import, Status


def cancel(connection: Connection, one: Import, by: str) -> None:
    if one.status not in imports.ENDED:
        jobs.request_cancel(connection, "import", one.seq, by)
        imports.cancelled(connection, one.seq, f"cancelled by {by}")


def shown_import(one: Import) -> resources_pb2.InputsExtractionJob:
    shown_one = resources_pb2.InputsExtractionJob(id=one.id, status=status(one.status, details=one.details))
    progress = shown_one.progress
    state = {Status.QUEUED: "pending", Status.RUNNING: "in_progress", Status.DONE: "completed"}
    setattr(progress, f"{state.get(Status(one.status), 'failed')}_archives_count", 1)
    shown_one.input_template.dataset_ids.extend(one.request.dataset_ids)
    shown_one.input_id_conflict_resolution = (
        resources_pb2.SKIP if one.request.skip else resources_pb2.INPUT_ID_CONFLICT_RESOLUTION_NOT_SET
    )
    shown_one.created_at.CopyFrom(timestamp(one.created_at))
    shown_one.modified_at.CopyFrom(timestamp(one.modified_at))
    return shown_one
