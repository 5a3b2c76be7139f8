"""Finding the model and the version that a call names. Next: `model_message`, which shows them."""

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import InvalidRequest, ModelDoesNotExist, shown
from luthier.rpcs.context import Context, app_of
from luthier.store import models, versions
from luthier.store.database import Connection
from luthier.store.models import ModelAndVersion, ModelRow
from luthier.store.versions import Version


def model_of(ctx: Context, connection: Connection, user_app_id: resources_pb2.UserAppIDSet, model_id: str) -> ModelRow:
    """The model; raises InvalidRequest where none is named, what `app_of` raises, and ModelDoesNotExist."""
    if not model_id:
        raise InvalidRequest("model_id is empty; name the model")
    if user_app_id.app_id and user_app_id.user_id in ("", "me", ctx.caller.user_id):
        row = models.find(connection, ctx.caller.user_id, user_app_id.app_id, model_id)
        if row and ctx.caller.app in (None, row.app):
            return row
    app = app_of(ctx, connection, user_app_id)  # says what is wrong with the app, if that is it
    raise ModelDoesNotExist(f"model {shown(model_id)!r} does not exist in app {shown(app.id)!r}")


def model_and_version(
    ctx: Context, connection: Connection, user_app_id: resources_pb2.UserAppIDSet, model_id: str, version_id: str
) -> ModelAndVersion:
    """The model with the named version, else its newest one, which may be none; raises as the two functions around."""
    found = None
    if user_app_id.app_id and model_id and user_app_id.user_id in ("", "me", ctx.caller.user_id):
        found = models.find_with_version(connection, ctx.caller.user_id, user_app_id.app_id, model_id, version_id)
    if found is None or ctx.caller.app not in (None, found.model.app):
        model_of(ctx, connection, user_app_id, model_id)  # says what is wrong
        raise ModelDoesNotExist(f"model {shown(model_id)!r} was deleted just now")
    if version_id and not found.has_version:
        raise _no_such_version(found.model, version_id)
    return found


def version_of(connection: Connection, model: ModelRow, version_id: str) -> Version:
    """The version of that id; raises InvalidRequest where none is named, ModelDoesNotExist where there is none."""
    if not version_id:
        raise InvalidRequest("version_id is empty; name the model version")
    version = versions.find(connection, model.seq, version_id)
    if version is None:
        raise _no_such_version(model, version_id)
    return version


def version_or_newest(connection: Connection, model: ModelRow, version_id: str) -> Version | None:
    """The named version; without a name the newest, None where the model has none (any more)."""
    if version_id:
        return version_of(connection, model, version_id)
    return versions.newest(connection, model.seq)


def _no_such_version(model: ModelRow, version_id: str) -> ModelDoesNotExist:
    return ModelDoesNotExist(f"model {shown(model.id)!r} has no version {shown(version_id)!r}")
