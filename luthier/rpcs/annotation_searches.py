"""Searching annotations by what is known of them and of their inputs. Next: `store/annotation_search`, `likeness`.

Ranks compare whole pictures: an annotation is as like as its input is.
"""

from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from luthier.errors import InvalidRequest, shown
from luthier.rpcs import codes, likeness
from luthier.rpcs.annotation_message import shown_annotations
from luthier.rpcs.context import Context, Page, app_of, page_of
from luthier.rpcs.input_message import shown_inputs
from luthier.rpcs.likeness import Ranking
from luthier.rpcs.patching import check_metadata
from luthier.store import annotation_search, inputs
from luthier.store.annotation_search import Filter, Judge
from luthier.store.annotations import AnnotationRow
from luthier.store.database import Connection
from luthier.store.input_filter import LabelIs
from luthier.store.resources import AppRow

MOST_FILTERS = 32
MOST_NAMES = 100  # concepts or datasets in one filter
SERVED = (
    "annotation.id, input_id, user_id, status.code, annotation_info, data.concepts and data.metadata, input.id, "
    "input.dataset_ids, input.status.code and last_updated_time_range are served"
)
_ANNOTATION_FIELDS = ("id", "input_id", "user_id", "annotation_info")


def PostAnnotationsSearches(
    ctx: Context, request: service_pb2.PostAnnotationsSearchesRequest
) -> service_pb2.MultiSearchResponse:
    """Annotations that pass every filter, the inputs' own too, in order of creation, each with its input; with ranks
    those of pictures, the best first.

    Within a filter everything must hold; `negate` turns it round. A concept needs its value: 1 positive, 0 negative
    (over REST 1 where none is given), and is found on whole inputs and on regions. Structs must hold what is given.
    """
    page, filters = page_of(request.pagination), _filters_of(request.searches)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
    search = request.searches[0]
    ranking = likeness.prepared(ctx, app, search) if likeness.is_asked(search) else None
    with ctx.database.read() as connection:
        if ranking:
            rows, scores = _ranked(ctx, connection, app, ranking, filters, page)
        else:
            rows = annotation_search.page(connection, app.seq, filters, page.offset, page.limit)
            scores = {row.input: 1.0 for row in rows}
        found = shown_annotations(ctx, connection, app, rows)
        seqs = sorted({row.input for row in rows})
        their = list(inputs.rows_of(connection, seqs).values()) if seqs else []
        of = {row.seq: one for row, one in zip(their, shown_inputs(ctx, connection, app, their), strict=True)}
    ids = {"user_id": app.user_id, "app_id": app.id}
    pairs = zip(rows, found, strict=True)
    hits = [
        resources_pb2.Hit(score=scores[row.input], input=of[row.input], annotation=one, **ids) for row, one in pairs
    ]
    return service_pb2.MultiSearchResponse(hits=hits)


def _ranked(
    ctx: Context, connection: Connection, app: AppRow, ranking: Ranking, filters: Sequence[Filter], page: Page
) -> tuple[list[AnnotationRow], dict[int, float]]:
    """A page of the annotations of pictures, best first, and the scores of inputs."""
    passing = annotation_search.every(connection, app.seq, filters)
    scores = ranking.scores(ctx, connection)
    best = sorted((pair for pair in passing if pair[1] in scores), key=lambda pair: -scores[pair[1]])
    numbers = [seq for seq, _ in best[page.offset : page.offset + page.limit]]
    return annotation_search.of_numbers(connection, app.seq, numbers), scores


def _filters_of(searches: list[resources_pb2.Search]) -> list[Filter]:
    if len(searches) != 1:
        raise InvalidRequest(f"searches holds {len(searches)} searches; send exactly one")
    search = searches[0]
    for field in ("save", "as_of"):
        if any(sent.name == field for sent, _ in search.ListFields()):
            raise InvalidRequest(f"searches.{field} is not served; leave it out")
    if search.query.ands:
        raise InvalidRequest("searches.query.ands is the old form; send searches.query.filters")
    if len(search.query.filters) > MOST_FILTERS:
        raise InvalidRequest(f"searches.query.filters holds {len(search.query.filters)}; at most {MOST_FILTERS}")
    return [_filter_of(one) for one in search.query.filters if not _is_empty(one)]


def _filter_of(sent: resources_pb2.Filter) -> Filter:
    _refuse_others(sent)
    note, datasets = sent.annotation, tuple(sent.input.dataset_ids)
    if len(note.data.concepts) > MOST_NAMES or len(datasets) > MOST_NAMES:
        raise InvalidRequest(f"a filter names at most {MOST_NAMES} concepts and {MOST_NAMES} datasets")
    for code in (note.status.code, sent.input.status.code):
        if code and not codes.known(code):
            raise InvalidRequest(f"status.code is {code}; that is no status code")
    for given in (note.annotation_info, note.data.metadata):
        check_metadata(given, "a Struct of a filter")
    times = sent.last_updated_time_range
    return Filter(
        ids=_one(note.id),
        input_ids=_one(note.input_id) + _one(sent.input.id),
        users=_one(note.user_id),
        status=note.status.code or None,
        input_status=sent.input.status.code or None,
        labels=tuple(_label_of(concept) for concept in note.data.concepts),
        datasets=datasets,
        since=_seconds(times.start_time) if times.HasField("start_time") else None,
        before=_seconds(times.end_time) if times.HasField("end_time") else None,
        judge=_holding(note) if note.annotation_info.fields or note.data.metadata.fields else None,
        negate=sent.negate,
    )


def _seconds(time: Timestamp) -> float:
    return float(time.seconds + time.nanos / 1e9)


def _one(value: str) -> tuple[str, ...]:
    return (value,) if value else ()


def _label_of(concept: resources_pb2.Concept) -> LabelIs:
    if concept.value not in (0.0, 1.0):
        name = shown(concept.id or concept.name)
        raise InvalidRequest(f"the value of {name!r} is {concept.value}; give 1 (positive) or 0 (negative)")
    if not (concept.id or concept.name):
        raise InvalidRequest("a concept of a filter has neither id nor name; give one")
    return LabelIs(concept.id, concept.name, int(concept.value))


def _holding(wanted: resources_pb2.Annotation) -> Judge:
    def keep(row: AnnotationRow) -> bool:
        have = resources_pb2.Annotation.FromString(row.message)
        return _within(wanted.annotation_info, have.annotation_info) and _within(
            wanted.data.metadata, have.data.metadata
        )

    return keep


def _within(wanted: Struct, have: Struct) -> bool:
    """Every key of `wanted` has the same value in `have`; of inner structs the same is asked."""
    for key, value in wanted.fields.items():
        if key not in have.fields:
            return False
        there = have.fields[key]
        both = value.WhichOneof("kind") == there.WhichOneof("kind") == "struct_value"
        if not (_within(value.struct_value, there.struct_value) if both else value == there):
            return False
    return True


def _refuse_others(sent: resources_pb2.Filter) -> None:
    """What is left of a filter without the fields that are served must be nothing."""
    rest = resources_pb2.Filter()
    rest.CopyFrom(sent)
    for field in ("negate", "last_updated_time_range"):
        rest.ClearField(field)
    for field in _ANNOTATION_FIELDS:
        rest.annotation.ClearField(field)
    for field in ("concepts", "metadata"):
        rest.annotation.data.ClearField(field)
    for field in ("id", "dataset_ids"):
        rest.input.ClearField(field)
    for status in (rest.annotation.status, rest.input.status):
        status.ClearField("code")
    if not _is_empty(rest):
        raise InvalidRequest(f"searches.query.filters: {SERVED}; this one asks for {shown(str(rest).strip(), 200)}")


def _is_empty(message: Message) -> bool:
    """True also where fields are set to messages that are empty."""
    return all(isinstance(value, Message) and _is_empty(value) for _, value in message.ListFields())
