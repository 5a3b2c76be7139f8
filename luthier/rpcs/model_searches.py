"""Models by what they are called and their type. Next: `models`."""

from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.catalog.model_type import MODEL_TYPE_IDS
from luthier.errors import InvalidRequest, shown
from luthier.rpcs.concepts import MAX_NAME
from luthier.rpcs.context import Context, app_of, page_of, user_of
from luthier.rpcs.model_message import model_message
from luthier.store import models
from luthier.store.models import ModelRow, Wanted
from luthier.store.patterns import beginning

_STARS = 8  # in one pattern: more would only make it slow


def PostModelsSearches(ctx: Context, request: service_pb2.PostModelsSearchesRequest) -> service_pb2.MultiModelResponse:
    """Those of an app, or of all the user's apps, whose id or name begins so, letter case ignored; `*` is anything."""
    page, user = page_of(request.pagination), user_of(ctx, request.user_app_id)
    with ctx.database.read() as connection:
        app = ctx.caller.app
        if request.user_app_id.app_id:
            app = app_of(ctx, connection, request.user_app_id).seq
        rows = models.page(connection, user.seq, page.offset, page.limit, _wanted(request.model_query, app))
        newest = models.newest_versions(connection, [row.seq for row in rows])
    found = [model_message(row, newest.get(row.seq), ctx.settings, whole=False) for row in rows]
    return service_pb2.MultiModelResponse(models=found)


def _wanted(query: resources_pb2.ModelQuery, app: int | None) -> Wanted:
    if len(query.name) > MAX_NAME or query.name.count("*") > _STARS:
        raise InvalidRequest(f"model_query.name: at most {MAX_NAME} characters and {_STARS} times *")
    if query.model_type_id and query.model_type_id not in MODEL_TYPE_IDS:
        given = shown(query.model_type_id)
        raise InvalidRequest(f"model_query.model_type_id is {given!r}; give one of {', '.join(MODEL_TYPE_IDS)}")
    begins = beginning(query.name)

    def keep(row: ModelRow) -> bool:
        name = resources_pb2.Model.FromString(row.message).name
        return bool(begins.match(row.id.casefold()) or begins.match(name.casefold()))

    types = (query.model_type_id,) if query.model_type_id else ()
    return Wanted(app=app, model_types=types, keep=keep if query.name else None)
