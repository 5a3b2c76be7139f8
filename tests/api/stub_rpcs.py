"""Functions that stand in for the real ones where a test is about transport alone."""

import time
from typing import Any

from clarifai_grpc.grpc.api import service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import ModelDoesNotExist, Throttled
from luthier.rpcs import status_codes
from luthier.rpcs.context import Context


def GetModel(ctx: Context, request: Any) -> Any:
    """Echoes what arrived; the id "missing" is not there, "broken" fails."""
    if request.model_id == "missing":
        raise ModelDoesNotExist("model 'missing' does not exist in app 'a'")
    if request.model_id == "broken":
        raise RuntimeError("the secret is /home/someone/secret.key\n2026-01-01 INFO luthier.access forged line")
    if request.model_id == "throttled":
        raise Throttled("wait")
    response = service_pb2.SingleModelResponse()
    response.model.id = request.model_id
    response.model.user_id = request.user_app_id.user_id
    response.model.app_id = request.user_app_id.app_id
    response.model.name = ctx.caller.user_id
    response.model.model_version.id = request.version_id
    return response


def ListModels(ctx: Context, request: Any) -> Any:
    """One model whose notes tell what arrived; the name "slow" takes a second."""
    if request.name == "slow":
        time.sleep(1.0)
    return service_pb2.MultiModelResponse(models=[{"id": "m", "notes": f"{request.page}/{request.per_page}"}])


def PostInputs(ctx: Context, request: Any) -> Any:
    return service_pb2.MultiInputResponse(inputs=request.inputs)


def DeleteInputs(ctx: Context, request: Any) -> Any:
    return status_pb2.BaseResponse(status={"details": ",".join(request.ids)})


def PostModels(ctx: Context, request: Any) -> Any:
    models = list(request.models) or [request.model]
    return service_pb2.SingleModelResponse(model=models[0])


def DeleteModel(ctx: Context, request: Any) -> Any:
    return status_pb2.BaseResponse()


def GetUser(ctx: Context, request: Any) -> Any:
    return service_pb2.SingleUserResponse(user={"id": ctx.caller.user_id})


def GetStatusCode(ctx: Context, request: Any) -> Any:
    return status_codes.GetStatusCode(ctx, request)


def ListStatusCodes(ctx: Context, request: Any) -> Any:
    return service_pb2.MultiStatusCodeResponse()
