"""Inputs by URL as the API takes and shows them; `tests/worker/test_fetch_job.py` for how they are fetched."""

from dataclasses import replace

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import ParseDict
from sqlalchemy import select

from luthier.rpcs.add_jobs import CancelInputsAddJob, GetInputsAddJob
from luthier.rpcs.context import Context
from luthier.store import fetches, jobs, tables
from luthier.store.fetches import Fetched
from tests.rpcs.pictures import picture
from tests.rpcs.test_inputs import App, Input, codes, get, item, listed, post, text

URL = "https://pictures.example/cat.jpg"


def by_url(id: str, url: str = URL, kind: str = "image", **fields: object) -> Input:
    return ParseDict({"id": id, "data": {kind: {"url": url, **fields}}}, Input())


def claimed(ctx: Context) -> jobs.Job | None:
    return jobs.claim(ctx.database, "w", "data")


def fetched(ctx: Context, *, code: int = 30000, data: bytes = b"some bytes") -> None:
    """What the worker does with every input that waits for its bytes."""
    blob = ctx.blobs.put(data)
    with ctx.database.write() as connection:
        seqs = list(connection.execute(select(tables.inputs.c.seq)).scalars())
        found = [Fetched(row.seq, code, "", blob if code == 30000 else "") for row in fetches.waiting(connection, seqs)]
        fetches.apply(connection, found)


def test_a_url_is_taken_at_once_and_fetched_later(ctx: Context, in_app: App) -> None:
    answer = post(ctx, in_app, by_url("one"), item("two"), by_url("three", "https://pictures.example/t.txt", "text"))
    assert codes(answer) == [30001, 30001, 30001]
    assert answer.inputs[0].data.image.url == URL
    kinds = {job.kind: len(next(iter(job.payload.values()))) for job in (claimed(ctx), claimed(ctx)) if job}
    assert kinds == {"ingest": 1, "fetch": 2}
    assert get(ctx, in_app, "three").data.text.raw == ""


def test_an_add_job_counts_what_is_still_to_be_fetched(ctx: Context, in_app: App) -> None:
    def progress() -> tuple[int, ...]:
        request = service_pb2.GetInputsAddJobRequest(user_app_id=in_app, id="job1")
        found = GetInputsAddJob(ctx, request).inputs_add_job.progress
        return found.pending_count, found.in_progress_count, found.success_count, found.failed_count

    post(ctx, in_app, by_url("one"), by_url("two", URL + "?2"), inputs_add_job_id="job1")
    assert progress() == (2, 0, 0, 0)
    fetched(ctx, code=47101)
    assert progress() == (0, 0, 0, 2)
    post(ctx, in_app, by_url("three", URL + "?3", "text"), inputs_add_job_id="job1")
    fetched(ctx)
    assert progress() == (0, 0, 1, 2)
    post(ctx, in_app, by_url("four", URL + "?4"), inputs_add_job_id="job1")
    CancelInputsAddJob(ctx, service_pb2.CancelInputsAddJobRequest(user_app_id=in_app, id="job1"))
    assert get(ctx, in_app, "four").status.code == 30002
    assert progress() == (0, 0, 1, 3)


def test_what_was_fetched_is_shown_by_our_own_address(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, by_url("t", "https://texts.example/a.txt", "text"))
    fetched(ctx, data="naïve".encode())
    shown = get(ctx, in_app, "t").data.text
    assert shown.raw == "naïve"
    assert shown.url.startswith(f"{ctx.settings.base_url}/luthier/v1/media/orig/")
    assert shown.url == f"{shown.hosted.prefix}/orig/{shown.hosted.suffix}"
    assert list(shown.hosted.sizes) == ["orig"]


def test_what_was_listed_can_be_sent_again_as_it_is(ctx: Context, in_app: App) -> None:
    """Into this app or another: the bytes are here, so nothing is fetched, and nobody's rules forbid it."""
    data = picture("PNG", (6, 4))
    post(ctx, in_app, item("one", data), text("t", "hello"))
    ctx = replace(ctx, settings=replace(ctx.settings, fetch_urls=False))
    again = [get(ctx, in_app, id) for id in ("one", "t")]
    for one in again:
        one.id += "-again"
    assert codes(post(ctx, in_app, *again)) == [30001, 30000]
    picture_again, text_again = (get(ctx, in_app, one.id).data for one in again)
    assert (picture_again.image.image_info.width, picture_again.image.url) == (6, again[0].data.image.url)
    assert text_again.text.raw == "hello"
    forged = by_url("forged", again[0].data.image.url[:-1])
    assert codes(post(ctx, in_app, forged)) == [30106]


def test_bad_D15_the_same_url_again_is_a_duplicate_unless_it_is_allowed(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, by_url("one"))
    for id in ("one", "one"):
        assert codes(post(ctx, in_app, by_url(id))) == [30001]  # a retry
    assert codes(post(ctx, in_app, by_url("one", URL + "?other"))) == [30100]
    answer = post(ctx, in_app, by_url("two"), by_url("three", allow_duplicate_url=True))
    assert codes(answer) == [30100, 30001]
    assert "allow_duplicate_url" in answer.inputs[0].status.details and "one" in answer.inputs[0].status.details
    assert codes(post(ctx, in_app, by_url("x", URL + "?x"), by_url("y", URL + "?x"))) == [30001, 30100]
    assert listed(ctx, in_app) == ["one", "three", "x"]


def test_a_url_that_failed_may_be_tried_under_another_id(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, by_url("one"))
    fetched(ctx, code=47101)
    assert codes(post(ctx, in_app, by_url("two"))) == [30001]


def test_labels_datasets_and_metadata_come_with_a_url(ctx: Context, in_app: App) -> None:
    sent = by_url("one")
    ParseDict({"concepts": [{"id": "cat", "value": 1}], "metadata": {"split": "test"}}, sent.data)
    post(ctx, in_app, sent)
    fetched(ctx, data=picture())
    shown = get(ctx, in_app, "one").data
    assert [concept.id for concept in shown.concepts] == ["cat"]
    assert shown.metadata["split"] == "test"


REFUSED = {
    "G1": ["file:///etc/passwd", "ftp://h/a", "data:image/png;base64,AA==", "h/a.png"],
    "G2": ["http://localhost/a", "http://a.localhost./a"],
    "G3": ["http://metadata.google.internal/latest"],
    "G8": ["http://user:pw@h/", "http://a\\@127.0.0.1/", "http://ho st/", "http://h/\nX: y", "http://" + "a" * 9000],
    "G9": ["http://h:22/", "http://h:6379/", "http://h:99999/"],
}


@pytest.mark.parametrize("row, url", [(row, url) for row, urls in REFUSED.items() for url in urls])
def test_bad_G1_G2_G3_G8_G9_what_no_look_up_is_needed_for_is_refused_at_once(
    ctx: Context, in_app: App, row: str, url: str
) -> None:
    answer = post(ctx, in_app, by_url("bad", url), item("good"))
    assert codes(answer) == [30106, 30001]
    assert len(answer.inputs[0].status.details) < 300
    assert listed(ctx, in_app) == ["good"]


def test_bad_G14_secrets_of_a_url_are_masked_in_answers(ctx: Context, in_app: App) -> None:
    secret = URL + "?X-Amz-Signature=abc123&id=7"
    answer = post(ctx, in_app, by_url("one", secret), by_url("two", secret))
    assert "abc123" not in str(answer)
    assert answer.inputs[0].data.image.url == URL + "?X-Amz-Signature=***&id=***"
    with ctx.database.read() as connection:
        assert connection.execute(select(tables.input_urls.c.url)).scalar_one() == secret  # until it was fetched
    fetched(ctx, code=47101)
    with ctx.database.read() as connection:
        assert connection.execute(select(tables.input_urls.c.url)).scalar_one() == ""


def test_a_url_and_the_content_are_one_too_many(ctx: Context, in_app: App) -> None:
    both = by_url("one")
    both.data.image.base64 = picture()
    texts = by_url("two", kind="text", raw="hello")
    assert codes(post(ctx, in_app, both, texts)) == [30104, 30104]


def test_a_server_that_fetches_nothing_says_so(ctx: Context, in_app: App) -> None:
    off = replace(ctx, settings=replace(ctx.settings, fetch_urls=False))
    offline = replace(ctx, settings=replace(ctx.settings, offline=True))
    for one, word in ((off, "fetch_urls"), (offline, "offline")):
        answer = post(one, in_app, by_url("one"))
        assert (codes(answer), word in answer.inputs[0].status.details) == ([30106], True)


def test_deleting_an_input_forgets_its_url(ctx: Context, in_app: App) -> None:
    from luthier.rpcs.inputs import DeleteInput

    post(ctx, in_app, by_url("one"))
    DeleteInput(ctx, service_pb2.DeleteInputRequest(user_app_id=in_app, input_id="one"))
    with ctx.database.read() as connection:
        assert list(connection.execute(select(tables.input_urls))) == []
    assert codes(post(ctx, in_app, by_url("two"))) == [30001]


def test_regions_come_with_a_url(ctx: Context, in_app: App) -> None:
    sent = by_url("one")
    box = sent.data.regions.add().region_info.bounding_box
    box.CopyFrom(resources_pb2.BoundingBox(top_row=0.1, left_col=0.1, bottom_row=0.5, right_col=0.5))
    assert codes(post(ctx, in_app, sent)) == [30001]
