"""Models: a name, a model type and versions. Next: `model_versions`, where trainings start, and `outputs`."""

from collections.abc import Callable
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.catalog.model_type import MODEL_TYPE_IDS, all_model_types
from luthier.errors import DuplicateId, InvalidModel, InvalidRequest, JobConflict, ModelDoesNotExist, shown
from luthier.rpcs.context import MAX_BATCH, MAX_PER_PAGE, Context, app_of, batch_of, page_of, user_of
from luthier.rpcs.ids import new_id, plain_id
from luthier.rpcs.listing import check_pattern
from luthier.rpcs.model_lookup import model_and_version, model_of, version_or_newest
from luthier.rpcs.model_message import model_message, stored_message, version_concepts
from luthier.rpcs.patching import action_of, kept, patch
from luthier.store import jobs, models, versions
from luthier.store.database import Connection
from luthier.store.jobs import State
from luthier.store.models import ModelRow, Order, Wanted
from luthier.store.patterns import whole
from luthier.store.resources import AppRow

FIELDS = (
    "name",
    "display_name",
    "description",
    "notes",
    "metadata",
    "presets",
    "visibility",
    "task",
    "toolkits",
    "use_cases",
    "languages",
)
_ORDERS: dict[str, Order] = {"sort_by_created_at": "created_at", "sort_by_modified_at": "modified_at"}
_BY_NAME = "sort_by_name"
_NOT_SERVED = (
    "sort_by_num_inputs",
    "sort_by_star_count",
    "sort_by_relevance",
    "featured_only",
    "starred_only",
    "bookmark",
    "license",
    "creator",
    "source",
    "license_type",
    "query",
)


def PostModels(ctx: Context, request: service_pb2.PostModelsRequest) -> service_pb2.SingleModelResponse:
    """All of the models or none, each with a first version that is not trained. The answer has room for the first."""
    sent = request.models or ([request.model] if request.HasField("model") else [])
    new = [_checked(model) for model in batch_of(sent, "models")]
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        made = [_make(connection, app, model) for model in new]
        version = versions.newest(connection, made[0].seq)
    return service_pb2.SingleModelResponse(model=model_message(made[0], version, ctx.settings))


def GetModel(ctx: Context, request: service_pb2.GetModelRequest) -> service_pb2.SingleModelResponse:
    """With the named version, else the newest one."""
    with ctx.database.read() as connection:
        stored = model_and_version(ctx, connection, request.user_app_id, request.model_id, request.version_id)
    return service_pb2.SingleModelResponse(model=stored_message(stored, ctx.settings))


def GetModelOutputInfo(ctx: Context, request: service_pb2.GetModelRequest) -> service_pb2.SingleModelResponse:
    """The model with its concepts in output_info as well."""
    answer = GetModel(ctx, request)
    answer.model.output_info.data.CopyFrom(answer.model.model_version.output_info.data)
    answer.model.output_info.ClearField("message")
    return answer


def ListModels(ctx: Context, request: service_pb2.ListModelsRequest) -> service_pb2.MultiModelResponse:
    """Of an app, or of all the user's apps where none is named. Each with its newest version, without its concepts."""
    page, user = page_of(request), user_of(ctx, request.user_app_id)
    with ctx.database.read() as connection:
        app = ctx.caller.app
        if request.user_app_id.app_id:
            app = app_of(ctx, connection, request.user_app_id).seq
        rows = models.page(connection, user.seq, page.offset, page.limit, _wanted(request, app))
        newest = models.newest_versions(connection, [row.seq for row in rows])
    found = [model_message(row, newest.get(row.seq), ctx.settings, whole=False) for row in rows]
    return service_pb2.MultiModelResponse(models=found)


def ListModelConcepts(ctx: Context, request: service_pb2.ListModelConceptsRequest) -> service_pb2.MultiConceptResponse:
    """What a version learned to tell, under the names that the concepts had then."""
    page = page_of(request)
    with ctx.database.read() as connection:
        model = model_of(ctx, connection, request.user_app_id, request.model_id)
        version = version_or_newest(connection, model, request.version_id)
    every = version_concepts(version) if version else []
    text = request.search.lower()
    found = [one for one in every if text in one.id.lower() or text in one.name.lower()]
    return service_pb2.MultiConceptResponse(concepts=found[page.offset : page.offset + page.limit])


def PatchModels(ctx: Context, request: service_pb2.PatchModelsRequest) -> service_pb2.MultiModelResponse:
    """All of the models or none. Id and model type do not change."""
    action, changes = action_of(request.action), batch_of(request.models, "models")
    with ctx.database.write() as connection:
        patched = [_patch(ctx, connection, request.user_app_id, change, action) for change in changes]
        newest = models.newest_versions(connection, [row.seq for row in patched])
    answers = [model_message(row, newest.get(row.seq), ctx.settings) for row in patched]
    return service_pb2.MultiModelResponse(models=answers)


def DeleteModel(ctx: Context, request: service_pb2.DeleteModelRequest) -> status_pb2.BaseResponse:
    """With its versions. Raises JobConflict while one of them is being trained; waiting trainings are cancelled."""
    with ctx.database.write() as connection:
        _remove(ctx, connection, model_of(ctx, connection, request.user_app_id, request.model_id))
    return status_pb2.BaseResponse()


def DeleteModels(ctx: Context, request: service_pb2.DeleteModelsRequest) -> status_pb2.BaseResponse:
    """All of the named models or none; without ids nothing."""
    if request.delete_all:
        raise InvalidRequest("delete_all is not served; name the models in ids")
    if len(request.ids) > MAX_BATCH:
        raise InvalidRequest(f"ids holds {len(request.ids)} ids; give at most {MAX_BATCH}")
    with ctx.database.write() as connection:
        for id in dict.fromkeys(request.ids):
            _remove(ctx, connection, model_of(ctx, connection, request.user_app_id, id))
    return status_pb2.BaseResponse()


def _checked(sent: resources_pb2.Model) -> resources_pb2.Model:
    """What of a new model is kept, with an id. Raises InvalidModel for a model type that there is not."""
    if sent.model_type_id not in MODEL_TYPE_IDS:
        given = shown(sent.model_type_id)
        raise InvalidModel(f"model_type_id is {given!r}; give one of {', '.join(MODEL_TYPE_IDS)}")
    message: resources_pb2.Model = kept(sent, FIELDS)
    message.id = plain_id(sent.id, "models.id") if sent.id else new_id()
    message.model_type_id = sent.model_type_id
    return message


def _make(connection: Connection, app: AppRow, model: resources_pb2.Model) -> ModelRow:
    try:
        seq = models.add(connection, app.seq, model.id, model.model_type_id, model.SerializeToString())
    except DuplicateId as error:
        raise InvalidModel(f"{error.details}; the app has a model of that id already") from error
    versions.create(connection, seq, new_id(), b"")
    return _found(connection, app.seq, model.id)


def _patch(
    ctx: Context,
    connection: Connection,
    user_app_id: resources_pb2.UserAppIDSet,
    change: resources_pb2.Model,
    action: str,
) -> ModelRow:
    row = model_of(ctx, connection, user_app_id, change.id)
    if change.model_type_id not in ("", row.model_type):
        raise InvalidModel(f"model_type_id is {shown(change.model_type_id)!r}; it stays {row.model_type!r}")
    stored = resources_pb2.Model.FromString(row.message)
    patch(stored, change, action, FIELDS)
    models.set_message(connection, row.seq, stored.SerializeToString())
    return _found(connection, row.app, row.id)


def _found(connection: Connection, app: int, id: str) -> ModelRow:
    row = models.find_in_app(connection, app, id)
    if row is None:
        raise ModelDoesNotExist(f"model {shown(id)!r} does not exist any more")
    return row


def _remove(ctx: Context, connection: Connection, model: ModelRow) -> None:
    trainings = models.under_way(connection, model.seq)
    running = [id for _, id, state in trainings if state is State.RUNNING]
    if running:
        raise JobConflict(
            f"version {running[0]} of model {shown(model.id)!r} is being trained; delete or cancel the version first"
        )
    for seq, _, _ in trainings:
        jobs.request_cancel(connection, "training", seq, ctx.caller.user_id)
    models.remove(connection, model.seq)


# -- which models a list shows -----------------------------------------------------------------------------------------


def _wanted(request: service_pb2.ListModelsRequest, app: int | None) -> Wanted:
    """Raises InvalidRequest for a filter or an order that is not served: a wrong list is worse than none."""
    for name in _NOT_SERVED:
        if getattr(request, name):
            raise InvalidRequest(f"{name} is not served; leave it out")
    if len(request.model_version_ids) > MAX_PER_PAGE:
        raise InvalidRequest(
            f"model_version_ids holds {len(request.model_version_ids)} ids; give at most {MAX_PER_PAGE}"
        )
    flags = [name for name in (*_ORDERS, _BY_NAME) if getattr(request, name)]
    return Wanted(
        app=app,
        model_types=_model_types(request),
        version_ids=tuple(request.model_version_ids),
        trained_only=request.trained_only,
        order=_ORDERS.get(flags[0], "seq") if flags else "seq",
        descending=bool(flags) and not request.sort_ascending,
        keep=_filter(request),
        key=(lambda row: _message(row).name or row.id) if flags == [_BY_NAME] else None,
    )


def _model_types(request: service_pb2.ListModelsRequest) -> tuple[str, ...]:
    """Those that pass model_type_id, input_fields and output_fields; () where none of the three is given."""
    reads, gives, id = set(request.input_fields), set(request.output_fields), request.model_type_id
    if not (id or reads or gives):
        return ()
    fitting = [
        one.id
        for one in all_model_types()
        if (not id or one.id == id) and reads <= set(one.input_fields) and gives <= set(one.output_fields)
    ]
    return tuple(fitting) or ("none of them",)


def _filter(request: service_pb2.ListModelsRequest) -> Callable[[ModelRow], bool] | None:
    """`name` takes * and is looked for in id, name and description, `search` word by word in notes as well."""
    tests: list[Callable[[ModelRow], bool]] = []
    if request.name:
        pattern = whole(check_pattern(request.name, "name"))
        tests.append(lambda row: any(pattern.fullmatch(text) for text in _texts(row)[:3]))
    if request.search:
        words = check_pattern(request.search, "search").lower().split()
        tests.append(lambda row: all(any(word in text.lower() for text in _texts(row)) for word in words))
    for field in ("toolkits", "use_cases", "languages"):
        tags = set(getattr(request, field))
        if tags:
            tests.append(lambda row, field=field, tags=tags: tags <= set(getattr(_message(row), field)))  # type: ignore[misc]
    if request.HasField("visibility") and request.visibility.gettable:
        gettable = request.visibility.gettable
        tests.append(lambda row: _gettable(row) == gettable)
    return (lambda row: all(test(row) for test in tests)) if tests else None


def _message(row: ModelRow) -> resources_pb2.Model:
    return resources_pb2.Model.FromString(row.message)


def _texts(row: ModelRow) -> tuple[str, str, str, str]:
    message = _message(row)
    return row.id, message.name, message.description, message.notes


def _gettable(row: ModelRow) -> Any:
    return _message(row).visibility.gettable or resources_pb2.Visibility.Gettable.PRIVATE
