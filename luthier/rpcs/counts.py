"""Counts for those who draw pages: of an app's things, and of its labels by concept. Next: `add_jobs`, for inputs."""

from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.rpcs import codes
from luthier.rpcs.context import Context, app_of, page_of
from luthier.store import concepts, counts, resources, tables
from luthier.store.counts import LabelCount

_DETAILS = {codes.INPUT_GOOD: "processed", codes.INPUT_PENDING: "to_process", codes.INPUT_IN_PROGRESS: "processing"}


def GetResourceCounts(
    ctx: Context, request: service_pb2.GetResourceCountsRequest
) -> service_pb2.GetResourceCountsResponse:
    """Workflows and pipelines are 0: there are none yet."""
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        return service_pb2.GetResourceCountsResponse(**counts.in_app(connection, app.seq))


def GetConceptCounts(
    ctx: Context, request: service_pb2.GetConceptCountsRequest
) -> service_pb2.MultiConceptCountResponse:
    """Concepts in order of creation, with how many inputs show them, as a whole or in a region, and do not."""
    page = page_of(request)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = resources.page(connection, tables.concepts, app.seq, page.offset, page.limit)
        names = concepts.names(connection, app.seq, {row.id for row in rows})
        found = counts.labels(connection, app.seq, [row.seq for row in rows])
    answer = service_pb2.MultiConceptCountResponse()
    for row in rows:
        mine = [count for count in found if count.concept == row.seq]
        answer.concept_counts.append(_shown(row.id, names[row.id], mine))
    return answer


def _shown(id: str, name: str, found: list[LabelCount]) -> resources_pb2.ConceptCount:
    message = resources_pb2.ConceptCount(id=id, name=name)
    for count in found:
        detail = getattr(message.detail_concept_count, _DETAILS.get(count.status, "errors"))
        for target in (message.concept_type_count, detail):
            if count.value:
                target.positive += count.inputs
            else:
                target.negative += count.inputs
    return message
