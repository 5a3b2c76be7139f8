"""Apps: what everything else hangs in. A short example of a noun; next: `concepts`."""

from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import DoesNotExist, InsufficientScopes, InvalidRequest, shown
from luthier.rpcs.context import Context, app_of, batch_of, page_of, timestamp, user_of
from luthier.rpcs.ids import new_id, plain_id
from luthier.rpcs.listing import wanted_of
from luthier.rpcs.patching import action_of, kept, patch
from luthier.store import apps, jobs, resources, tables
from luthier.store.database import Connection

FIELDS = (
    "name",
    "default_language",
    "default_workflow_id",
    "default_workflow",
    "metadata",
    "description",
    "notes",
    "sample_ms",
    "visibility",
)
_DELETED_AT_ONCE = 128  # inputs in one transaction


def PostApps(ctx: Context, request: service_pb2.PostAppsRequest) -> service_pb2.MultiAppResponse:
    """All of the apps or none."""
    user = _whole_user(ctx, request.user_app_id)
    new = [
        (plain_id(app.id, "apps.id") if app.id else new_id(), _message(app)) for app in batch_of(request.apps, "apps")
    ]
    with ctx.database.write() as connection:
        rows = resources.add(connection, tables.apps, user.seq, new)
    return service_pb2.MultiAppResponse(apps=[_shown(row, user.id) for row in rows])


def GetApp(ctx: Context, request: service_pb2.GetAppRequest) -> service_pb2.SingleAppResponse:
    with ctx.database.read() as connection:
        row = app_of(ctx, connection, request.user_app_id)
    return service_pb2.SingleAppResponse(app=_shown(row, row.user_id))


def ListApps(ctx: Context, request: service_pb2.ListAppsRequest) -> service_pb2.MultiAppResponse:
    user, page, wanted = user_of(ctx, request.user_app_id), page_of(request), wanted_of(request)
    with ctx.database.read() as connection:
        if ctx.caller.app is None:
            rows: Sequence[resources.Row | resources.AppRow] = resources.page(
                connection, tables.apps, user.seq, page.offset, page.limit, wanted
            )
        else:
            only = resources.app_by_seq(connection, ctx.caller.app)
            rows = [only] if only and page.offset == 0 else []
    return service_pb2.MultiAppResponse(apps=[_shown(row, user.id) for row in rows])


def PatchApps(ctx: Context, request: service_pb2.PatchAppsRequest) -> service_pb2.MultiAppResponse:
    """All of the apps or none."""
    action, changes = action_of(request.action), batch_of(request.apps, "apps")
    with ctx.database.write() as connection:
        patched = [_patch(ctx, connection, request.user_app_id, change, action) for change in changes]
    return service_pb2.MultiAppResponse(apps=patched)


def PatchApp(ctx: Context, request: service_pb2.PatchAppRequest) -> service_pb2.SingleAppResponse:
    named, id = request.user_app_id, request.app.id or request.user_app_id.app_id
    if named.app_id and named.app_id != id:
        raise InvalidRequest(
            f"app.id is {shown(id)!r}, but the call is for app {shown(named.app_id)!r}; an id cannot be changed"
        )
    change = resources_pb2.App()
    change.CopyFrom(request.app)
    change.id = id
    with ctx.database.write() as connection:
        return service_pb2.SingleAppResponse(app=_patch(ctx, connection, named, change, action_of(request.action)))


def DeleteApp(ctx: Context, request: service_pb2.DeleteAppRequest) -> status_pb2.BaseResponse:
    """With everything in it. Its trainings are cancelled first, its inputs go in small steps, itself goes last."""
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        for version in apps.trainings_under_way(connection, app.seq):
            jobs.request_cancel(connection, "training", version, ctx.caller.user_id)
    gone = _DELETED_AT_ONCE
    while gone == _DELETED_AT_ONCE:
        with ctx.database.write() as connection:
            gone = apps.delete_inputs(connection, app.seq, _DELETED_AT_ONCE)
    with ctx.database.write() as connection:
        resources.remove(connection, tables.apps, [app.seq])
    return status_pb2.BaseResponse()


def _whole_user(ctx: Context, user_app_id: resources_pb2.UserAppIDSet) -> resources.UserRow:
    user = user_of(ctx, user_app_id)
    if ctx.caller.app is not None:
        raise InsufficientScopes("this token reaches one app alone; making apps takes a token for all of them")
    return user


def _message(app: resources_pb2.App) -> bytes:
    message = _with_workflow(kept(app, FIELDS))
    data: bytes = message.SerializeToString()
    return data


def _with_workflow(app: resources_pb2.App) -> resources_pb2.App:
    """Of the default workflow the reference alone is kept; even to another user's: it is looked up when used."""
    reference = app.default_workflow
    id = reference.id or app.default_workflow_id
    if id:
        app.default_workflow.CopyFrom(resources_pb2.Workflow(id=id, app_id=reference.app_id, user_id=reference.user_id))
        app.default_workflow_id = id
    return app


def _patch(
    ctx: Context,
    connection: Connection,
    user_app_id: resources_pb2.UserAppIDSet,
    change: resources_pb2.App,
    action: str,
) -> resources_pb2.App:
    if not change.id:
        raise InvalidRequest("apps.id is empty; name the app to patch")
    row = app_of(ctx, connection, resources_pb2.UserAppIDSet(user_id=user_app_id.user_id, app_id=change.id))
    stored = resources_pb2.App.FromString(row.message)
    if change.default_workflow_id and not change.HasField("default_workflow"):
        stored.ClearField("default_workflow")
    patch(stored, change, action, FIELDS)
    resources.set_message(connection, tables.apps, row.seq, _with_workflow(stored).SerializeToString())
    fresh = resources.app_by_seq(connection, row.seq)
    if fresh is None:
        raise DoesNotExist(f"app {shown(change.id)!r} does not exist any more")
    return _shown(fresh, row.user_id)


def _shown(row: resources.Row | resources.AppRow, user_id: str) -> resources_pb2.App:
    app = resources_pb2.App.FromString(row.message)
    app.id, app.user_id, app.name = row.id, user_id, app.name or row.id
    app.visibility.gettable = app.visibility.gettable or resources_pb2.Visibility.Gettable.PRIVATE
    app.created_at.CopyFrom(timestamp(row.created_at))
    app.modified_at.CopyFrom(timestamp(row.modified_at))
    return app
