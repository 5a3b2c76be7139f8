"""Ranks: pictures by likeness to one that is sent, to an input, to a vector. The embedder here tells colours."""

import base64
import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import ParseDict
from PIL import Image

from luthier.errors import InputDoesNotExist, InvalidRequest, LuthierError, SearchNotReady, UnsupportedFormat
from luthier.rpcs import likeness
from luthier.rpcs.annotation_searches import PostAnnotationsSearches
from luthier.rpcs.context import Context
from luthier.rpcs.input_searches import PostInputsSearches
from luthier.rpcs.inputs import DeleteInput
from luthier.store import jobs, vectors, versions
from tests.rpcs.pictures import picture
from tests.rpcs.test_inputs import App, check_inputs, item, post, text
from tests.rpcs.trainable import make_model, row_of, set_version

COLOURS = {"red": (250, 0, 0), "orange": (200, 120, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


def coloured(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), COLOURS[name]).save(buffer, "PNG")
    return buffer.getvalue()


def vector(data: bytes) -> list[float]:
    colour = np.array(Image.open(io.BytesIO(data)).convert("RGB").getpixel((0, 0)), np.float64)
    return [float(value) for value in colour / np.linalg.norm(colour)]


class Colours:
    """Stands in for the predictors."""

    def predict(
        self,
        run_folder: Path,
        checkpoint: str,
        kind: str,
        parts: Sequence[bytes],
        wait_seconds: float = 20.0,
        options: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        assert kind == "image" and checkpoint == "checkpoints/best"
        return [{"embedding": vector(part)} for part in parts]


@contextmanager
def worker(ctx: Context) -> Iterator[list[int]]:
    """Makes vectors as the worker's job does; gives how many each job made."""
    made: list[int] = []

    def work() -> None:
        while not ended.wait(0.02):
            if job := jobs.claim(ctx.database, "w", "data", ("vectors",)):
                with ctx.database.read() as connection:
                    version = versions.by_seq(connection, job.subject or 0)
                    assert version
                    left = vectors.missing(connection, version.seq, version.app, 1000)
                found = [(one.input, np.float32(vector(ctx.blobs.read(one.blob))).tobytes()) for one in left]
                with ctx.database.write() as connection:
                    vectors.keep(connection, version.seq, found)
                    jobs.finish(connection, job)
                made.append(len(found))

    ended = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield made
    finally:
        ended.set()
        thread.join()


def embedder(ctx: Context, model_id: str = "colours") -> str:
    """The id of a trained version of a visual-embedder."""
    make_model(ctx, model_id, "visual-embedder")
    with ctx.database.write() as connection:
        model = likeness.models.find(connection, "ann", "pets", model_id)
        assert model
        seq = versions.create(connection, model.seq, f"{model_id:0<32}", b"", request={"concepts": []})
        version = versions.by_seq(connection, seq)
    assert version
    set_version(ctx, version.id, status=21100, run_folder="run", checkpoint="checkpoints/best")
    return version.id


@pytest.fixture
def filled(ctx: Context, in_app: App) -> Iterator[Context]:
    """A picture of each colour, two of them in light, and a text; with an embedder and a worker."""
    sent = [
        item(name, coloured(name), concepts=[{"id": name, "value": 1}], metadata={"light": name in ("red", "blue")})
        for name in COLOURS
    ]
    post(ctx, in_app, *sent, text("words", "red"))
    check_inputs(ctx)
    embedder(ctx)
    with worker(ctx):
        yield replace(ctx, predictors=Colours())  # type: ignore[arg-type]


def ask(ctx: Context, *ranks: dict[str, Any], **search: Any) -> service_pb2.MultiSearchResponse:
    """`filters` and fields of the request may stand among the search's."""
    more = {name: search.pop(name) for name in ("pagination", "only_count") if name in search}
    query = {"ranks": list(ranks), "filters": search.pop("filters", [])}
    request = service_pb2.PostInputsSearchesRequest()
    ParseDict({"searches": [{"query": query, **search}], **more}, request)
    request.user_app_id.CopyFrom(resources_pb2.UserAppIDSet(user_id="me", app_id="pets"))
    return PostInputsSearches(ctx, request)


def found(ctx: Context, *ranks: dict[str, Any], **search: Any) -> list[str]:
    return [hit.input.id for hit in ask(ctx, *ranks, **search).hits]


def like(name: str) -> dict[str, Any]:
    return {"annotation": {"data": {"image": {"base64": base64.b64encode(coloured(name)).decode()}}}}


def test_the_picture_itself_is_first_and_what_is_like_it_follows(filled: Context) -> None:
    answer = ask(filled, like("red"))
    assert [hit.input.id for hit in answer.hits] == ["red", "orange", "green", "blue"]
    scores = [hit.score for hit in answer.hits]
    assert scores[0] == pytest.approx(1, abs=1e-3) and scores == sorted(scores, reverse=True)
    assert answer.hits[0].app_id == "pets" and answer.hits[0].input.data.image.image_info.width == 4


def test_metrics_give_scores_between_0_and_1(filled: Context) -> None:
    by_cosine = {hit.input.id: hit.score for hit in ask(filled, like("red"), metric="COSINE_DISTANCE").hits}
    by_euclid = {hit.input.id: hit.score for hit in ask(filled, like("red"), metric="EUCLIDEAN_DISTANCE").hits}
    assert by_cosine["green"] == pytest.approx(0.5, abs=1e-3)  # at right angles
    assert by_euclid["green"] == pytest.approx(1 - 2**0.5 / 2, abs=1e-3)
    assert by_cosine["red"] == pytest.approx(1, abs=1e-5) and by_euclid["red"] == pytest.approx(1, abs=1e-3)


def test_by_an_input_and_by_a_vector(filled: Context) -> None:
    assert found(filled, {"annotation": {"input_id": "blue"}})[0] == "blue"
    by_vector = {"annotation": {"data": {"embeddings": [{"vector": [10.0, 6.0, 0.0]}]}}}
    assert found(filled, by_vector)[:2] == ["orange", "red"]


def test_a_negated_rank_begins_with_what_is_least_like(filled: Context) -> None:
    assert found(filled, {**like("orange"), "negate": True})[0] == "blue"


def test_the_mean_of_several_ranks_counts(filled: Context) -> None:
    assert found(filled, like("red"), like("green"), metric="COSINE_DISTANCE")[0] == "orange"


def test_filters_and_pages_and_least_scores(filled: Context) -> None:
    light = {"annotation": {"data": {"metadata": {"light": True}}}}
    assert found(filled, like("green"), filters=[light]) == ["red", "blue"]
    assert found(filled, like("red"), pagination={"page": 2, "per_page": 2}) == ["green", "blue"]
    assert found(filled, like("red"), pagination={"page": 3, "per_page": 2}) == []
    assert found(filled, like("red"), metric="COSINE_DISTANCE", min_value=0.6) == ["red", "orange"]
    assert ask(filled, like("red"), only_count=True).hit_counts[0].estimated_total == 4
    assert ask(filled, like("red"), only_count=True, filters=[light]).hit_counts[0].estimated_total == 2


def test_what_comes_and_goes_is_seen_at_once(filled: Context, in_app: App) -> None:
    assert found(filled, like("red"))[0] == "red"
    DeleteInput(filled, service_pb2.DeleteInputRequest(user_app_id=in_app, input_id="red"))
    assert found(filled, like("red")) == ["orange", "green", "blue"]
    post(filled, in_app, item("again", coloured("red")))
    assert "again" not in found(filled, like("red")), "it has not been checked yet"
    check_inputs(filled)
    assert found(filled, like("red")) == ["again", "orange", "green", "blue"]


def test_vectors_are_made_once(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, *(item(name, coloured(name)) for name in COLOURS))
    check_inputs(ctx)
    embedder(ctx)
    with worker(ctx) as made:
        ctx = replace(ctx, predictors=Colours())  # type: ignore[arg-type]
        for name in COLOURS:
            assert found(ctx, like(name))[0] == name
        assert made == [4]


def test_a_newer_embedder_makes_its_own(filled: Context) -> None:
    assert found(filled, like("red"))[0] == "red"
    newer = embedder(filled, "newer")
    assert found(filled, like("red"))[0] == "red"
    with filled.database.read() as connection:
        assert vectors.stamp(connection, row_of(filled, newer).seq).count == 4


def test_annotations_are_as_like_as_their_inputs(filled: Context, in_app: App) -> None:
    request = service_pb2.PostAnnotationsSearchesRequest(user_app_id=in_app)
    ParseDict({"searches": [{"query": {"ranks": [{"annotation": {"input_id": "green"}}]}}]}, request)
    hits = PostAnnotationsSearches(filled, request).hits
    assert [hit.input.id for hit in hits] == ["green", "orange", "red", "blue"]
    assert all(hit.annotation.input_id == hit.input.id for hit in hits)
    assert hits[0].score == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("rank", "kind", "says"),
    [
        ({"annotation": {"data": {"text": {"raw": "red"}}}}, InvalidRequest, "data.image"),
        ({"annotation": {"data": {"concepts": [{"id": "cat", "value": 1}]}}}, InvalidRequest, "filtered, not ranked"),
        ({"negate": True}, InvalidRequest, "data.image"),
        ({"annotation": {"input_id": "nobody"}}, InputDoesNotExist, "nobody"),
        ({"annotation": {"input_id": "words"}}, UnsupportedFormat, "no picture"),
        ({"annotation": {"data": {"image": {"base64": "Z2lm"}}}}, UnsupportedFormat, "none of"),
        ({"annotation": {"data": {"embeddings": [{"vector": [1.0, 2.0]}]}}}, InvalidRequest, "holds 2 numbers"),
        ({"annotation": {"data": {"embeddings": [{"vector": [0.0, 0.0, 0.0]}]}}}, InvalidRequest, "not 0"),
    ],
)
def test_bad_B14_ranks(filled: Context, rank: dict[str, Any], kind: type[LuthierError], says: str) -> None:
    with pytest.raises(kind, match=says):
        ask(filled, rank)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"algorithm": "magic"}, "nearest_neighbor"),
        ({"metric": 3}, "metric is 3"),
        ({"min_value": 2}, "0 to 1"),
        ({"min_value": "NaN"}, "0 to 1"),
    ],
)
def test_bad_B14_how_to_rank(filled: Context, search: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        ask(filled, like("red"), **search)
    with pytest.raises(InvalidRequest, match="at most 8"):
        ask(filled, *[like("red")] * 9)


def test_an_app_without_an_embedder_says_so(ctx: Context, in_app: App) -> None:
    with pytest.raises(InvalidRequest, match="no trained visual-embedder"):
        ask(ctx, like("red"))


def test_where_no_worker_makes_vectors_the_call_says_how_many_are_missing(
    ctx: Context, in_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likeness, "WAIT_SECONDS", 0.3)
    post(ctx, in_app, item("a"), item("b", picture(colour=9)))
    check_inputs(ctx)
    embedder(ctx)
    with pytest.raises(SearchNotReady, match="2 pictures of app 'pets' have no vector yet") as raised:
        ask(replace(ctx, predictors=Colours()), like("red"))  # type: ignore[arg-type]
    assert raised.value.code == 43004
