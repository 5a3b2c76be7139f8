"""Concepts: what inputs are labelled with and models learn. Next: `annotations` for the labels."""

from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import DoesNotExist, DuplicateId, InvalidConcept, InvalidRequest, shown
from luthier.rpcs.context import Context, app_of, batch_of, page_of, timestamp
from luthier.rpcs.ids import label_id, new_id
from luthier.rpcs.listing import check_pattern
from luthier.rpcs.patching import action_of, kept, patch
from luthier.store import concepts, resources, tables
from luthier.store.database import Connection

FIELDS = ("language", "definition", "vocab_id", "visibility", "metadata", "keypoint_info")
MAX_NAME = 1000  # characters


def PostConcepts(ctx: Context, request: service_pb2.PostConceptsRequest) -> service_pb2.MultiConceptResponse:
    """All of the concepts or none; one that exists already is 40003, "duplicate" in the details."""
    sent = batch_of(request.concepts, "concepts")
    new = [(label_id(concept.id, "concepts.id") if concept.id else new_id(), concept) for concept in sent]
    names = [checked_name(concept.name) or id for id, concept in new]
    messages = [(id, kept(concept, FIELDS).SerializeToString()) for id, concept in new]
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        try:
            rows = resources.add(connection, tables.concepts, app.seq, messages, name=names)
        except DuplicateId as error:
            raise InvalidConcept(error.details) from error
    return service_pb2.MultiConceptResponse(
        concepts=[shown_concept(row, name, app) for row, name in zip(rows, names, strict=True)]
    )


def GetConcept(ctx: Context, request: service_pb2.GetConceptRequest) -> service_pb2.SingleConceptResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        row, name = _find(connection, app.seq, request.concept_id)
    return service_pb2.SingleConceptResponse(concept=shown_concept(row, name, app))


def ListConcepts(ctx: Context, request: service_pb2.ListConceptsRequest) -> service_pb2.MultiConceptResponse:
    page, wanted = page_of(request), resources.Wanted(check_pattern(request.id, "id"))
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = resources.page(connection, tables.concepts, app.seq, page.offset, page.limit, wanted)
        names = concepts.names(connection, app.seq, {row.id for row in rows})
    return service_pb2.MultiConceptResponse(concepts=[shown_concept(row, names[row.id], app) for row in rows])


def PatchConcepts(ctx: Context, request: service_pb2.PatchConceptsRequest) -> service_pb2.MultiConceptResponse:
    """All of the concepts or none. A version trained on a concept keeps the name that it had then."""
    action, changes = action_of(request.action), batch_of(request.concepts, "concepts")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        patched = [_patch(connection, app, change, action) for change in changes]
    return service_pb2.MultiConceptResponse(concepts=patched)


def checked_name(name: str) -> str:
    if len(name) > MAX_NAME:
        raise InvalidConcept(f"the name {shown(name)!r} has {len(name)} characters; at most {MAX_NAME} are allowed")
    return name


def _find(connection: Connection, app: int, id: str) -> tuple[resources.Row, str]:
    if not id:
        raise InvalidRequest("concept_id is empty; name the concept")
    found = concepts.find_named(connection, app, id)
    if found is None:
        raise DoesNotExist(f"concept {shown(id)!r} does not exist in this app")
    return found


def _patch(
    connection: Connection, app: resources.AppRow, change: resources_pb2.Concept, action: str
) -> resources_pb2.Concept:
    row, name = _find(connection, app.seq, change.id)
    stored = resources_pb2.Concept.FromString(row.message)
    patch(stored, change, action, FIELDS)
    if change.name:
        name = row.id if action == "remove" else checked_name(change.name)
    resources.set_message(connection, tables.concepts, row.seq, stored.SerializeToString(), name=name)
    row, name = _find(connection, app.seq, change.id)
    return shown_concept(row, name, app)


def shown_concept(row: resources.Row, name: str, app: resources.AppRow) -> resources_pb2.Concept:
    concept = resources_pb2.Concept.FromString(row.message)
    concept.id, concept.name, concept.value = row.id, name, 1.0
    concept.app_id, concept.user_id, concept.language = app.id, app.user_id, concept.language or "en"
    concept.visibility.gettable = concept.visibility.gettable or resources_pb2.Visibility.Gettable.PRIVATE
    concept.created_at.CopyFrom(timestamp(row.created_at))
    return concept
