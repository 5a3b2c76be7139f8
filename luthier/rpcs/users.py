"""The user that a token speaks for, and what the token may do. Next: `apps`."""

from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.rpcs.context import Context, app_of, timestamp, user_of
from luthier.store import resources


def GetUser(ctx: Context, request: service_pb2.GetUserRequest) -> service_pb2.SingleUserResponse:
    return service_pb2.SingleUserResponse(user=_shown(user_of(ctx, request.user_app_id)))


def MyScopes(ctx: Context, request: service_pb2.MyScopesRequest) -> service_pb2.MultiScopeResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id) if request.user_app_id.app_id else None
    answer = service_pb2.MultiScopeResponse(scopes=sorted(ctx.caller.scopes))
    if app:
        answer.app.id, answer.app.user_id = app.id, app.user_id
    return answer


def MyScopesUser(ctx: Context, request: service_pb2.MyScopesUserRequest) -> service_pb2.MultiScopeUserResponse:
    user_of(ctx, request.user_app_id)
    return service_pb2.MultiScopeUserResponse(scopes=sorted(ctx.caller.scopes))


def _shown(row: resources.UserRow) -> resources_pb2.User:
    user = resources_pb2.User.FromString(row.message)
    user.id = row.id
    user.created_at.CopyFrom(timestamp(row.created_at))
    return user
