"""Searching inputs by what is known of them: labels, datasets, statuses, texts, metadata; and by likeness.

Next: `input_judges` for what only a look at an input tells, `likeness` for ranks.
"""

import math
from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.message import Message

from luthier.errors import InvalidRequest, shown
from luthier.rpcs import codes, input_judges, likeness
from luthier.rpcs.context import Context, Page, app_of, page_of
from luthier.rpcs.input_message import shown_inputs
from luthier.rpcs.patching import check_metadata
from luthier.store import input_search, inputs
from luthier.store.input_filter import Filter, Judge, LabelIs

MOST_FILTERS = 32
MOST_NAMES = 100  # concepts in a search, datasets in a filter
SERVED = (
    "filters by annotation.data.concepts, metadata, geo or text.raw, input.id, input.dataset_ids, input.status.code, "
    "input.data.image, text, audio, video, metadata or geo and last_updated_time_range are served"
)
_KINDS = ("image", "text", "audio", "video")


def PostInputsSearches(ctx: Context, request: service_pb2.PostInputsSearchesRequest) -> service_pb2.MultiSearchResponse:
    """Inputs that pass every filter, in order of creation, each with the score 1; with ranks pictures, the best first.

    Within a filter everything must hold, of several datasets or kinds one, of several metadata keys one; `negate` turns
    it round. A concept needs its value: 1 positive, 0 negative (over REST 1 where none is given); a region's counts as
    well. A text is looked for in texts, letter case ignored.
    """
    page, filters = page_of(request.pagination), _filters_of(ctx, request)
    if likeness.is_asked(request.searches[0]):
        return _ranked(ctx, request, page, filters)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        if request.only_count:
            total = input_search.count(connection, app.seq, filters)
            return service_pb2.MultiSearchResponse(hit_counts=[resources_pb2.HitCount(estimated_total=total)])
        rows = input_search.page(connection, app.seq, filters, page.offset, page.limit)
        found = shown_inputs(ctx, connection, app, rows)
    hits = [resources_pb2.Hit(score=1.0, input=one, user_id=app.user_id, app_id=app.id) for one in found]
    return service_pb2.MultiSearchResponse(hits=hits)


def _ranked(
    ctx: Context, request: service_pb2.PostInputsSearchesRequest, page: Page, filters: Sequence[Filter]
) -> service_pb2.MultiSearchResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
    ranking = likeness.prepared(ctx, app, request.searches[0])
    with ctx.database.read() as connection:
        among = input_search.every(connection, app.seq, filters) if filters else None
        if request.only_count:
            total = len(ranking.scores(ctx, connection, among))
            return service_pb2.MultiSearchResponse(hit_counts=[resources_pb2.HitCount(estimated_total=total)])
        best = ranking.first(ctx, connection, page.offset + page.limit, among)[page.offset :]
        rows = inputs.rows_of(connection, [one.input for one in best]) if best else {}
        there = [one for one in best if one.input in rows]
        found = shown_inputs(ctx, connection, app, [rows[one.input] for one in there])
    ids = {"user_id": app.user_id, "app_id": app.id}
    pairs = zip(there, found, strict=True)
    return service_pb2.MultiSearchResponse(
        hits=[resources_pb2.Hit(score=one.score, input=shown, **ids) for one, shown in pairs]
    )


def _filters_of(ctx: Context, request: service_pb2.PostInputsSearchesRequest) -> list[Filter]:
    if len(request.searches) != 1:
        raise InvalidRequest(f"searches holds {len(request.searches)} searches; send exactly one")
    return filters_of(ctx, request.searches[0], ranked=True)


def filters_of(ctx: Context, search: resources_pb2.Search, *, ranked: bool = False) -> list[Filter]:
    """What a search asks for; raises InvalidRequest for what is not served: ranks, unless `ranked` says so."""
    for field in ("save", "as_of"):
        if any(sent.name == field for sent, _ in search.ListFields()):
            raise InvalidRequest(f"searches.{field} is not served; leave it out")
    if search.query.ands:
        raise InvalidRequest("searches.query.ands is the old form; send searches.query.filters")
    if not ranked and likeness.is_asked(search):
        raise InvalidRequest("searches.query.ranks: this call takes every input that passes; send filters alone")
    if len(search.query.filters) > MOST_FILTERS:
        raise InvalidRequest(f"searches.query.filters holds {len(search.query.filters)}; at most {MOST_FILTERS}")
    concepts = sum(len(one.annotation.data.concepts) for one in search.query.filters)
    if concepts > MOST_NAMES:
        raise InvalidRequest(f"the filters of a search name {concepts} concepts; at most {MOST_NAMES}")
    return [_filter_of(ctx, one) for one in search.query.filters if _asks(one)]


def _asks(sent: resources_pb2.Filter) -> bool:
    """The SDK sends filters that hold nothing."""
    named = sent.annotation.ListFields() or sent.input.ListFields()
    return bool(named) or sent.HasField("last_updated_time_range")


def _filter_of(ctx: Context, sent: resources_pb2.Filter) -> Filter:
    _refuse_others(sent)
    concepts, datasets = sent.annotation.data.concepts, tuple(sent.input.dataset_ids)
    if len(datasets) > MOST_NAMES:
        raise InvalidRequest(f"a filter names {len(datasets)} datasets; at most {MOST_NAMES}")
    code = sent.input.status.code
    if code and not codes.known(code):
        raise InvalidRequest(f"input.status.code is {code}; that is no status code")
    kinds = {kind for kind in _KINDS if sent.input.data.HasField(kind)}
    texts = [each for each in (sent.annotation.data.text.raw, sent.input.data.text.raw) if each]
    return Filter(
        ids=(sent.input.id,) if sent.input.id else (),
        labels=tuple(_label_of(concept) for concept in concepts),
        datasets=datasets,
        kinds=tuple(sorted({"text"} if texts else kinds)),
        status=code or None,
        changed=_changed(sent.last_updated_time_range) if sent.HasField("last_updated_time_range") else None,
        judge=_judge_of(ctx, sent, texts),
        negate=sent.negate,
    )


def _judge_of(ctx: Context, sent: resources_pb2.Filter, texts: Sequence[str]) -> Judge | None:
    metadata = [each for each in (sent.annotation.data.metadata, sent.input.data.metadata) if each.fields]
    for given in metadata:
        check_metadata(given, "metadata of a filter")
    places = [data.geo for data in (sent.annotation.data, sent.input.data) if data.HasField("geo")]
    judges = [input_judges.metadata_holds(each) for each in metadata]
    judges += [input_judges.is_near(each) for each in places]
    return input_judges.all_of(judges + [input_judges.text_contains(each, ctx.blobs) for each in texts])


def _changed(range: resources_pb2.TimeRange) -> tuple[float, float]:
    """From `start_time`, before `end_time`; either may be left out."""
    start, end = ((each.seconds + each.nanos / 1e9) for each in (range.start_time, range.end_time))
    return start, end if range.HasField("end_time") else math.inf


def _label_of(concept: resources_pb2.Concept) -> LabelIs:
    if concept.value not in (0.0, 1.0):
        name = shown(concept.id or concept.name)
        raise InvalidRequest(f"the value of {name!r} is {concept.value}; give 1 (positive) or 0 (negative)")
    if not (concept.id or concept.name):
        raise InvalidRequest("a concept of a filter has neither id nor name; give one")
    return LabelIs(concept.id, concept.name, int(concept.value))


def _refuse_others(sent: resources_pb2.Filter) -> None:
    """What is left of a filter without the fields that are served must be nothing."""
    rest = resources_pb2.Filter()
    rest.CopyFrom(sent)
    rest.ClearField("negate")
    rest.ClearField("last_updated_time_range")
    rest.annotation.data.ClearField("concepts")
    for data in (rest.annotation.data, rest.input.data):
        data.ClearField("metadata")
        data.ClearField("geo")
        data.text.ClearField("raw")
    rest.input.status.ClearField("code")
    for field in ("id", "dataset_ids"):
        rest.input.ClearField(field)
    if not _is_empty(rest):
        raise InvalidRequest(f"searches.query.filters: {SERVED}; this one asks for {shown(str(rest).strip(), 200)}")


def _is_empty(message: Message) -> bool:
    """True also where fields are set to messages that are empty, as `image: {}` is."""
    return all(isinstance(value, Message) and _is_empty(value) for _, value in message.ListFields())
