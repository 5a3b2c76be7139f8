"""Searching inputs by labels, datasets, kinds, statuses and metadata; following them by StreamInputs."""

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import ParseDict

from luthier.errors import InputDoesNotExist, InvalidRange, InvalidRequest
from luthier.rpcs.context import Context
from luthier.rpcs.datasets import PostDatasets
from luthier.rpcs.input_searches import PostInputsSearches
from luthier.rpcs.input_stream import StreamInputs
from luthier.rpcs.inputs import DeleteInput
from luthier.store import input_search
from tests.rpcs.test_inputs import check_inputs, item, post, text

App = resources_pb2.UserAppIDSet
CAT, NO_CAT = {"id": "cat", "value": 1}, {"id": "cat", "value": 0}


@pytest.fixture
def filled(ctx: Context, in_app: App) -> Context:
    """a: a cat, in d; b: no cat, dark; c: a cat and a dog, in d and e, dark; t: a text that still waits for nothing."""
    datasets = [resources_pb2.Dataset(id=id) for id in ("d", "e")]
    PostDatasets(ctx, service_pb2.PostDatasetsRequest(user_app_id=in_app, datasets=datasets))
    sent = [
        item("a", concepts=[CAT], metadata={"light": "bright", "n": 1}),
        item("b", concepts=[NO_CAT], metadata={"light": "dark"}),
        item("c", concepts=[CAT, {"id": "dog", "name": "Big dog", "value": 1}], metadata={"light": "dark", "n": 2}),
        text("t", "words"),
    ]
    sent[0].dataset_ids.append("d")
    sent[2].dataset_ids.extend(["d", "e"])
    post(ctx, in_app, *sent)
    return ctx


def ask(ctx: Context, in_app: App, *filters: dict[str, object], **more: object) -> service_pb2.MultiSearchResponse:
    search = {"searches": [{"query": {"filters": list(filters)}}], **more}
    return PostInputsSearches(ctx, ParseDict(search, service_pb2.PostInputsSearchesRequest(user_app_id=in_app)))


def found(ctx: Context, in_app: App, *filters: dict[str, object], **more: object) -> str:
    return "".join(hit.input.id for hit in ask(ctx, in_app, *filters, **more).hits)


def by_concepts(*concepts: dict[str, object]) -> dict[str, object]:
    return {"annotation": {"data": {"concepts": list(concepts)}}}


def by_metadata(**values: object) -> dict[str, object]:
    return {"annotation": {"data": {"metadata": values}}}


def test_by_concept_and_its_value(filled: Context, in_app: App) -> None:
    assert found(filled, in_app, by_concepts(CAT)) == "ac"
    assert found(filled, in_app, by_concepts(NO_CAT)) == "b"
    assert found(filled, in_app, by_concepts({"name": "Big dog", "value": 1})) == "c"
    assert found(filled, in_app, by_concepts(CAT, {"id": "dog", "value": 1})) == "c"
    assert found(filled, in_app, by_concepts(CAT), by_concepts({"id": "dog", "value": 1})) == "c"
    assert found(filled, in_app, by_concepts({"id": "unknown", "value": 1})) == ""
    assert found(filled, in_app, {**by_concepts(CAT), "negate": True}) == "bt"


def test_by_dataset_kind_status_and_id(filled: Context, in_app: App) -> None:
    assert found(filled, in_app, {"input": {"dataset_ids": ["e"]}}) == "c"
    assert found(filled, in_app, {"input": {"dataset_ids": ["d", "e"]}}) == "ac"
    assert found(filled, in_app, {"input": {"data": {"text": {}}}}) == "t"
    assert found(filled, in_app, {"input": {"data": {"image": {}, "text": {}}}}) == "abct"
    assert found(filled, in_app, {"input": {"status": {"code": 30001}}}) == "abc"
    check_inputs(filled)
    assert found(filled, in_app, {"input": {"status": {"code": 30001}}}) == ""
    assert found(filled, in_app, {"input": {"id": "b"}}) == "b"
    assert found(filled, in_app, {**by_concepts(CAT), "input": {"dataset_ids": ["e"]}}) == "c"


def test_by_metadata_whose_keys_are_alternatives(filled: Context, in_app: App) -> None:
    assert found(filled, in_app, by_metadata(light="dark")) == "bc"
    assert found(filled, in_app, by_metadata(n=1, light="dark")) == "abc"
    assert found(filled, in_app, by_metadata(n=2), by_metadata(light="dark")) == "c"
    assert found(filled, in_app, {**by_metadata(light="dark"), "negate": True}) == "at"
    assert found(filled, in_app, {**by_metadata(light="dark"), **{"input": {"dataset_ids": ["d"]}}}) == "c"
    both = {**by_metadata(light="dark"), "input": {"dataset_ids": ["d"]}, "negate": True}
    assert found(filled, in_app, both) == "abt"


def test_by_a_text_in_texts(filled: Context, in_app: App) -> None:
    post(filled, in_app, text("u", "Straße und GARTEN"), text("v", "100 gardens"))
    asked = {"annotation": {"data": {"text": {"raw": "garten"}}}}
    assert found(filled, in_app, asked) == "u"
    assert found(filled, in_app, {**asked, "negate": True}) == "abctv"
    assert found(filled, in_app, {"input": {"data": {"text": {"raw": "GARDEN"}}}}) == "v"
    assert found(filled, in_app, {"annotation": {"data": {"text": {"raw": "strasse"}}}}) == "u"
    assert found(filled, in_app, {"annotation": {"data": {"text": {"raw": "100%"}}}}) == ""


def test_by_where_it_is(ctx: Context, in_app: App) -> None:
    paris, versailles, rome = (2.3522, 48.8566), (2.1204, 48.8049), (12.4964, 41.9028)
    places = {"p": paris, "v": versailles, "r": rome}
    sent = [item(id) for id in (*places, "n")]
    for one in sent[:3]:
        one.data.geo.geo_point.longitude, one.data.geo.geo_point.latitude = places[one.id]
    post(ctx, in_app, *sent)

    def near(kind: str, value: float, **more: object) -> str:
        geo = {"geo_point": {"longitude": 2.3522, "latitude": 48.8566}, "geo_limit": {"type": kind, "value": value}}
        return found(ctx, in_app, {"annotation": {"data": {"geo": geo}}, **more})

    assert near("withinKilometers", 15) == "p" and near("withinKilometers", 20) == "pv"  # 18 km as the crow flies
    assert near("withinMiles", 10) == "p" and near("withinMiles", 12) == "pv"
    assert near("withinKilometers", 1100) == "pv" and near("withinKilometers", 1110) == "pvr"
    assert near("withinDegrees", 1) == "pv" and near("withinRadians", 4) == "pvr"
    assert near("withinKilometers", 20, negate=True) == "rn"
    corners = [{"geo_point": {"longitude": 13, "latitude": 42}}, {"geo_point": {"longitude": 12, "latitude": 41}}]
    assert found(ctx, in_app, {"input": {"data": {"geo": {"geo_box": corners}}}}) == "r"


def test_by_when_it_changed(filled: Context, in_app: App) -> None:
    early, late = {"start_time": "2001-01-01T00:00:00Z"}, {"start_time": "2101-01-01T00:00:00Z"}
    assert found(filled, in_app, {"last_updated_time_range": early}) == "abct"
    assert found(filled, in_app, {"last_updated_time_range": late}) == ""
    assert found(filled, in_app, {"last_updated_time_range": {"end_time": "2001-01-01T00:00:00Z"}}) == ""
    both = {**early, "end_time": "2101-01-01T00:00:00Z"}
    assert found(filled, in_app, {**by_concepts(CAT), "last_updated_time_range": both}) == "ac"


@pytest.mark.parametrize("value", [0, -0.5, 1e300, "", "ä", True, False, None, [1, "a"], {"k": {"deep": [0]}}])
def test_metadata_of_every_kind_are_found_again(ctx: Context, in_app: App, value: object) -> None:
    long_key = "k" * 200
    post(ctx, in_app, item("a", metadata={long_key: value}), item("b", metadata={long_key: "other", "n": value}))
    assert found(ctx, in_app, by_metadata(**{long_key: value})) == "a"
    assert found(ctx, in_app, by_metadata(n=value)) == "b"
    assert found(ctx, in_app, by_metadata(m=value)) == ""


def test_hits_and_counts_and_pages(filled: Context, in_app: App) -> None:
    hit = ask(filled, in_app, by_concepts(CAT)).hits[0]
    assert (hit.score, hit.app_id, hit.user_id) == (1.0, "pets", "ann")
    assert [concept.id for concept in hit.input.data.concepts] == ["cat"]
    for filter in (by_concepts(CAT), {"input": {"dataset_ids": ["d"]}}, by_metadata(light="dark")):
        counted = ask(filled, in_app, filter, only_count=True)
        assert counted.hit_counts[0].estimated_total == 2 and not counted.hits
        assert len(found(filled, in_app, filter, pagination={"page": 2, "per_page": 1})) == 1
        assert found(filled, in_app, filter, pagination={"page": 3, "per_page": 1}) == ""
    assert found(filled, in_app) == "abct"


def test_the_sdks_empty_ranks_and_filters_ask_for_everything(filled: Context, in_app: App) -> None:
    query = {"ranks": [{"annotation": {}}], "filters": [{"annotation": {}, "input": {}}]}
    search = {"query": query, "algorithm": "nearest_neighbor", "metric": "COSINE_DISTANCE"}
    request = ParseDict({"searches": [search]}, service_pb2.PostInputsSearchesRequest(user_app_id=in_app))
    assert len(PostInputsSearches(filled, request).hits) == 4


@pytest.mark.parametrize(
    ("search", "word"),
    [
        (
            {"query": {"ranks": [{"annotation": {"data": {"image": {"url": "http://x"}}}}]}},
            "no trained visual-embedder",
        ),
        ({"query": {"filters": [{"annotation": {"data": {"geo": {"geo_point": {"latitude": 1}}}}}]}}, "geo_limit"),
        ({"query": {"filters": [{"annotation": {"data": {"geo": {"geo_box": [{}]}}}}]}}, "two opposite corners"),
        ({"query": {"filters": [{"annotation": {"data": {"text": {"raw": "x" * 1001}}}}]}}, "1001 characters"),
        ({"query": {"filters": [{"input": {"data": {"image": {"url": "http://x"}}}}]}}, "http"),
        ({"query": {"filters": [by_concepts({"id": "cat", "value": 0.5})]}}, "0.5"),
        ({"query": {"filters": [{"input": {"status": {"code": 7}}}]}}, "no status code"),
        ({"query": {"ands": [{}]}}, "old form"),
        ({"save": True, "id": "s"}, "save"),
    ],
)
def test_what_is_not_served_is_said(ctx: Context, in_app: App, search: dict[str, object], word: str) -> None:
    request = ParseDict({"searches": [search]}, service_pb2.PostInputsSearchesRequest(user_app_id=in_app))
    with pytest.raises(InvalidRequest, match=word):
        PostInputsSearches(ctx, request)


def test_bad_B14_large_searches_are_answered_or_refused(filled: Context, in_app: App) -> None:
    names = [{"id": "cat", "value": 1}, *({"name": f"no {number}", "value": 1} for number in range(99))]
    assert found(filled, in_app, by_concepts(*names)) == ""
    each = [{**by_concepts(one), "negate": True} for one in names[1:32]]
    assert found(filled, in_app, *each) == "abct"
    with pytest.raises(InvalidRequest, match="101 concepts"):
        found(filled, in_app, by_concepts(*names), by_concepts(CAT))
    for count in (50, 2000):
        many = {**{f"k{number}": number for number in range(count)}, "light": "dark"}
        assert found(filled, in_app, *[by_metadata(**many)] * 10) == "bc"
    with pytest.raises(InvalidRequest, match="33; at most 32"):
        found(filled, in_app, *[by_concepts(CAT)] * 33)


def test_a_search_that_looks_too_long_says_so(filled: Context, in_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_search, "LOOKING_SECONDS", -1)
    with pytest.raises(InvalidRequest, match="add a concept"):
        found(filled, in_app, by_metadata(light="dark"))
    assert found(filled, in_app, by_concepts(CAT)) == "ac"


def test_one_search_in_a_call(ctx: Context, in_app: App) -> None:
    with pytest.raises(InvalidRequest, match="exactly one"):
        PostInputsSearches(ctx, service_pb2.PostInputsSearchesRequest(user_app_id=in_app))


# -- StreamInputs ------------------------------------------------------------------------------------------------------


def stream(ctx: Context, in_app: App, last: str = "", **more: object) -> str:
    request = service_pb2.StreamInputsRequest(user_app_id=in_app, last_id=last, **more)
    return "".join(one.id for one in StreamInputs(ctx, request).inputs)


def test_a_stream_gives_every_input_once(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, *(text(id, id) for id in "cabd"))
    assert stream(ctx, in_app) == "cabd"
    assert stream(ctx, in_app, per_page=2) == "ca"
    DeleteInput(ctx, service_pb2.DeleteInputRequest(user_app_id=in_app, input_id="c"))
    post(ctx, in_app, text("e", "e"))
    assert stream(ctx, in_app, "a", per_page=2) == "bd"
    assert stream(ctx, in_app, "d", per_page=2) == "e"
    assert stream(ctx, in_app, "e", per_page=2) == ""
    assert stream(ctx, in_app, descending=True) == "edba"
    assert stream(ctx, in_app, order_by_id=True) == "abde"
    assert stream(ctx, in_app, "c", order_by_id=True) == "de"  # c is gone, and its place is not
    assert stream(ctx, in_app, "d", order_by_id=True, descending=True) == "ba"


def test_a_stream_cannot_go_on_from_nowhere(ctx: Context, in_app: App) -> None:
    with pytest.raises(InputDoesNotExist):
        stream(ctx, in_app, "nothing")
    with pytest.raises(InvalidRange):
        stream(ctx, in_app, per_page=1001)
