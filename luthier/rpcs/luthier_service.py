"""What Luthier serves beyond Clarifai's wire: a cancel that keeps the version. Next: `wire/luthier.proto`."""

from clarifai_grpc.grpc.api import service_pb2

from luthier.rpcs.context import Context
from luthier.rpcs.model_lookup import model_of, version_of
from luthier.rpcs.model_message import version_message
from luthier.store import jobs, versions
from luthier.store.jobs import State
from luthier.wire import luthier_pb2


def CancelModelVersion(
    ctx: Context, request: luthier_pb2.CancelModelVersionRequest
) -> service_pb2.SingleModelVersionResponse:
    """A waiting training is 21106 at once; a running one as soon as its worker has stopped it, within seconds.

    A version that has ended, or was never trained, is left as it is.
    """
    with ctx.database.write() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        version = version_of(connection, model, request.version_id)
        state = jobs.request_cancel(connection, "training", version.seq, ctx.caller.user_id)
        if state is not State.RUNNING:
            versions.to_failed(
                connection, version.seq, f"cancelled by {ctx.caller.user_id} while it waited in the queue"
            )
        version = version_of(connection, model, request.version_id)
    return service_pb2.SingleModelVersionResponse(model_version=version_message(version, ctx.settings))
