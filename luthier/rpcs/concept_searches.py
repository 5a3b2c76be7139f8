"""Concepts by what they are called: what a picker asks for at each key. Next: `concepts`."""

from itertools import islice

from clarifai_grpc.grpc.api import service_pb2

from luthier.errors import InvalidRequest
from luthier.rpcs.concepts import MAX_NAME, shown_concept
from luthier.rpcs.context import Context, app_of, page_of
from luthier.store import concept_search

_STARS = 8  # in one pattern: more would only make it slow


def PostConceptsSearches(
    ctx: Context, request: service_pb2.PostConceptsSearchesRequest
) -> service_pb2.MultiConceptResponse:
    """Those of the app whose id or name begins with the query's name, letter case ignored; `*` stands for anything."""
    page, name, language = page_of(request.pagination), request.concept_query.name, request.concept_query.language
    _refuse_others(request)
    if len(name) > MAX_NAME or name.count("*") > _STARS:
        raise InvalidRequest(f"concept_query.name: at most {MAX_NAME} characters and {_STARS} times *")
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        found = (shown_concept(row, name, app) for row, name in concept_search.matching(connection, app.seq, name))
        wanted = (concept for concept in found if language in ("", concept.language))
        return service_pb2.MultiConceptResponse(concepts=islice(wanted, page.offset, page.offset + page.limit))


def _refuse_others(request: service_pb2.PostConceptsSearchesRequest) -> None:
    query = request.concept_query
    for field in ("workflow_id", "use_cases", "model", "workflow", "ignore_app_concepts"):
        if any(sent.name == field for sent, _ in query.ListFields()):
            raise InvalidRequest(
                f"concept_query.{field} is not served: the app's own concepts are searched; "
                "ListModelConcepts has a model's"
            )
    if request.extra_info.HasField("rankable_model"):
        raise InvalidRequest("extra_info.rankable_model is not served; leave it out")
