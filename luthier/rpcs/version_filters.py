"""Annotation filters: which labels and regions a dataset version takes in. Next: `worker/version_filter` applies them.

The wire's filter is a search; of it `query.filters` with annotation.data.concepts are served. A label or a region
passes a filter that names its concept with its value, and must pass every filter; `negate` turns one round.
"""

from typing import Any

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.message import Message

from luthier.errors import DoesNotExist, InvalidRequest, shown
from luthier.store import concepts, datasets
from luthier.store.database import Connection

MOST_FILTERS = 32
MOST_CONCEPTS = 100  # in one filter
_FIELD = "annotation_filter.search"


def read_filter(sent: resources_pb2.AnnotationFilter) -> list[dict[str, Any]]:
    """[{"concepts": [[id, value], …], "negate": bool}, …]. Raises InvalidRequest for what is not served."""
    if sent.id and not sent.HasField("search"):
        raise InvalidRequest(
            "annotation_filter.id names a saved filter, which is not served; send annotation_filter.search"
        )
    search, known = sent.search, resources_pb2.Search()
    known.query.filters.extend(search.query.filters)
    known.id, known.name = search.id, search.name
    if search != known and not _empty(search):
        raise InvalidRequest(f"{_FIELD} holds more than query.filters; send filters alone")
    if len(search.query.filters) > MOST_FILTERS:
        raise InvalidRequest(f"{_FIELD}.query.filters holds {len(search.query.filters)}; at most {MOST_FILTERS}")
    return [_read(one) for one in search.query.filters]


def stored_filter(
    connection: Connection,
    app: int,
    config: resources_pb2.AnnotationFilterConfig,
    default: resources_pb2.AnnotationFilter,
) -> dict[str, Any] | None:
    """What the version's row keeps; None takes in everything. Raises DoesNotExist for a concept the app has not."""
    filters = read_filter(config.annotation_filter if config.HasField("annotation_filter") else default)
    if not filters and not config.ignore_empty_inputs:
        return None
    ids = {id for one in filters for id, _ in one["concepts"]}
    missing = sorted(ids - concepts.seqs(connection, app, ids).keys())
    if missing:
        raise DoesNotExist(f"annotation_filter names concept {shown(missing[0])!r}, which this app does not have")
    return {"filters": filters, "ignore_empty_inputs": config.ignore_empty_inputs}


def default_filter(connection: Connection, app: int, dataset: int | None) -> dict[str, Any] | None:
    """That of a version which is made for a training; concepts that were deleted since let nothing pass."""
    if dataset is None:
        return None
    default = resources_pb2.Dataset.FromString(datasets.message_of(connection, dataset)).default_annotation_filter
    filters = read_filter(default)
    return {"filters": filters, "ignore_empty_inputs": False} if filters else None


def _read(sent: resources_pb2.Filter) -> dict[str, Any]:
    named = sent.annotation.data.concepts
    known = resources_pb2.Filter(negate=sent.negate)
    known.annotation.data.concepts.extend(named)
    if sent != known or not 1 <= len(named) <= MOST_CONCEPTS:
        raise InvalidRequest(
            f"{_FIELD}.query.filters takes filters that hold annotation.data.concepts, 1 to {MOST_CONCEPTS} of them, "
            f"and negate; this one is {shown(str(sent).strip(), 200)!r}"
        )
    return {"concepts": [_concept(one) for one in named], "negate": sent.negate}


def _concept(sent: resources_pb2.Concept) -> list[Any]:
    if not sent.id:
        raise InvalidRequest(f"{_FIELD}: a concept without an id; name it by its id")
    if sent.value not in (0.0, 1.0):
        raise InvalidRequest(f"{_FIELD}: the value of {shown(sent.id)!r} is {sent.value}; give 1 (positive) or 0")
    return [sent.id, int(sent.value)]


def _empty(message: Message) -> bool:
    return all(isinstance(value, Message) and _empty(value) for _, value in message.ListFields())
