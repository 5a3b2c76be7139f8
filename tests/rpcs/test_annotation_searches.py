"""Searching annotations."""

import pytest
from clarifai_grpc.grpc.api import service_pb2
from google.protobuf.json_format import ParseDict

from luthier.errors import InvalidRange, InvalidRequest
from luthier.rpcs.annotation_searches import PostAnnotationsSearches
from luthier.rpcs.context import Context
from luthier.rpcs.dataset_inputs import PostDatasetInputs
from luthier.store import annotation_search
from tests.rpcs.pictures import picture
from tests.rpcs.test_annotations import App, annotation, box, send
from tests.rpcs.test_inputs import check_inputs, item, make_dataset, post


@pytest.fixture(autouse=True)
def world(ctx: Context, in_app: App) -> None:
    """Inputs one (own label "own") and two (in dataset d); annotations a, b of one, c of two."""
    make_dataset(ctx, in_app, "d")
    post(ctx, in_app, item("one", concepts=[{"id": "own", "value": 1}]))
    check_inputs(ctx)
    post(ctx, in_app, item("two", picture(colour=1)))
    request = service_pb2.PostDatasetInputsRequest(user_app_id=in_app, dataset_id="d")
    request.dataset_inputs.add().input.id = "two"
    PostDatasetInputs(ctx, request)
    a = annotation("a", concepts=[{"id": "cat", "value": 1}, {"id": "dog", "value": 0}], metadata={"by": "hand"})
    b = annotation("b", regions=[box("cat"), box("cat", topRow=0.2)])
    b.annotation_info.update({"tool": {"name": "pen", "size": 3}, "round": 2})
    c = annotation("c", "two", regions=[box("dog")])
    c.status.code = 24157
    send(ctx, in_app, a, b, c)


def search(ctx: Context, in_app: App, *filters: dict[str, object], **more: object) -> service_pb2.MultiSearchResponse:
    sent = {"searches": [{"query": {"filters": filters}}], **more}
    request = ParseDict(sent, service_pb2.PostAnnotationsSearchesRequest(user_app_id=in_app))
    return PostAnnotationsSearches(ctx, request)


def found(ctx: Context, in_app: App, *filters: dict[str, object], **more: object) -> list[str]:
    return [hit.annotation.id for hit in search(ctx, in_app, *filters, **more).hits]


def about(**fields: object) -> dict[str, object]:
    return {"annotation": fields}


def labelled(id: str, value: float = 1) -> dict[str, object]:
    return about(data={"concepts": [{"id": id, "value": value}]})


def test_a_hit_holds_the_annotation_and_its_input(ctx: Context, in_app: App) -> None:
    (hit,) = search(ctx, in_app, about(id="b")).hits
    assert (hit.score, hit.user_id, hit.app_id) == (1, "ann", "pets")
    assert (hit.annotation.input_id, hit.input.id, hit.input.data.image.image_info.width) == ("one", "one", 4)
    assert hit.annotation.data.regions[0].data.concepts[0].name == "cat"


def test_by_each_thing_that_is_known(ctx: Context, in_app: App) -> None:
    assert found(ctx, in_app) == ["one", "a", "b", "c"]
    assert found(ctx, in_app, about(inputId="one")) == ["one", "a", "b"]
    assert found(ctx, in_app, {"input": {"id": "two"}}) == ["c"]
    assert found(ctx, in_app, about(inputId="one") | {"input": {"id": "two"}}) == []
    assert found(ctx, in_app, {"input": {"datasetIds": ["d"]}}) == ["c"]
    assert found(ctx, in_app, {"input": {"status": {"code": 30000}}}) == ["one", "a", "b"]
    assert found(ctx, in_app, about(status={"code": 24157})) == ["c"]
    assert found(ctx, in_app, about(userId="ann")) == ["one", "a", "b", "c"]
    assert found(ctx, in_app, about(userId="bob")) == []


def test_concepts_of_the_whole_and_of_regions(ctx: Context, in_app: App) -> None:
    assert found(ctx, in_app, labelled("cat")) == ["a", "b"]
    assert found(ctx, in_app, labelled("dog")) == ["c"]
    assert found(ctx, in_app, labelled("dog", 0)) == ["a"]
    assert found(ctx, in_app, about(data={"concepts": [{"name": "cat", "value": 1}]})) == ["a", "b"]
    assert found(ctx, in_app, labelled("cat") | {"negate": True}) == ["one", "c"]
    assert found(ctx, in_app, labelled("cat"), labelled("dog", 0)) == ["a"]


def test_structs_must_hold_what_is_given(ctx: Context, in_app: App) -> None:
    assert found(ctx, in_app, about(data={"metadata": {"by": "hand"}})) == ["a"]
    assert found(ctx, in_app, about(data={"metadata": {"by": "foot"}})) == []
    assert found(ctx, in_app, about(annotationInfo={"tool": {"name": "pen"}})) == ["b"]
    assert found(ctx, in_app, about(annotationInfo={"tool": {"name": "pen"}, "round": 1})) == []
    assert found(ctx, in_app, about(annotationInfo={"round": 2}, inputId="two")) == []
    assert found(ctx, in_app, about(annotationInfo={"round": 2}) | {"negate": True}) == ["one", "a", "c"]
    assert found(ctx, in_app, about(annotationInfo={"round": 2}, inputId="two") | {"negate": True}) == [
        "one",
        "a",
        "b",
        "c",
    ]


def test_by_time(ctx: Context, in_app: App) -> None:
    old, new = {"endTime": "2020-01-01T00:00:00Z"}, {"startTime": "2020-01-01T00:00:00Z"}
    assert found(ctx, in_app, {"lastUpdatedTimeRange": old}) == []
    assert len(found(ctx, in_app, {"lastUpdatedTimeRange": new})) == 4


def test_pages(ctx: Context, in_app: App) -> None:
    assert found(ctx, in_app, pagination={"page": 2, "perPage": 3}) == ["c"]
    by_hand = about(annotationInfo={"round": 2}) | {"negate": True}
    assert found(ctx, in_app, by_hand, pagination={"page": 2, "perPage": 1}) == ["a"]
    with pytest.raises(InvalidRange):
        found(ctx, in_app, pagination={"perPage": 1001})


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (about(data={"concepts": [{"id": "cat", "value": 0.5}]}), "0.5"),
        (about(data={"concepts": [{"value": 1}]}), "neither id nor name"),
        (about(data={"text": {"raw": "x"}}), "are served"),
        (about(data={"regions": [{"id": "x"}]}), "are served"),
        (about(status={"code": 7}), "no status code"),
        (about(data={"metadata": {"x": "y" * 70_000}}), "65536"),
        (about(data={"concepts": [{"id": str(number), "value": 1} for number in range(101)]}), "at most 100"),
    ],
)
def test_bad_B14_filters(ctx: Context, in_app: App, filters: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        found(ctx, in_app, filters)


def test_bad_B14_searches(ctx: Context, in_app: App) -> None:
    for searches in ([], [{}, {}], [{"save": True}], [{"query": {"ands": [{"negate": True}]}}]):
        with pytest.raises(InvalidRequest):
            search(ctx, in_app, searches=searches)
    ranks = [{"annotation": {"data": {"text": {"raw": "a dog"}}}}]
    with pytest.raises(InvalidRequest, match="filtered, not ranked"):
        search(ctx, in_app, searches=[{"query": {"ranks": ranks}}])
    with pytest.raises(InvalidRequest, match="at most 32"):
        found(ctx, in_app, *([about(id="a")] * 33))


def test_bad_B3_C14_odd_ids_and_times_find_nothing(ctx: Context, in_app: App) -> None:
    for odd in ("\u202e", "x" * 10_000, "' OR 1=1--"):
        for name in ("id", "inputId", "userId"):
            assert found(ctx, in_app, about(**{name: odd})) == []
        assert found(ctx, in_app, {"input": {"datasetIds": [odd]}}) == []
        assert found(ctx, in_app, labelled(odd)) == []
    request = service_pb2.PostAnnotationsSearchesRequest(user_app_id=in_app)
    times = request.searches.add().query.filters.add().last_updated_time_range
    times.start_time.seconds, times.start_time.nanos = 2**63 - 1, -5
    assert list(PostAnnotationsSearches(ctx, request).hits) == []


def test_a_search_that_looks_too_long_says_so(ctx: Context, in_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_search, "LOOKING_SECONDS", -1)
    with pytest.raises(InvalidRequest, match="add an input, a user"):
        found(ctx, in_app, about(data={"metadata": {"by": "hand"}}))
    assert found(ctx, in_app, about(id="b")) == ["b"]
