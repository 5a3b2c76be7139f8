"""Calls that take URLs, such as predictions: what they wait for, how long, and what they leave behind."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from clarifai_grpc.grpc.api import resources_pb2
from clarifai_grpc.grpc.api.resources_pb2 import Input
from sqlalchemy import func, select

from luthier.errors import LuthierError
from luthier.rpcs import fetched
from luthier.rpcs.context import Context
from luthier.rpcs.fetched import shown_url, with_bytes
from luthier.store import asked_urls, jobs, tables, urls
from luthier.store.fetches import Fetched
from luthier.store.secrets import signed_media_url
from tests.rpcs.pictures import picture

URL = "https://pictures.example/cat.jpg"


def by_url(url: str, kind: str = "image") -> Input:
    sent = Input()
    getattr(sent.data, kind).url = url
    return sent


@contextmanager
def worker(ctx: Context, **found: bytes | int) -> Iterator[list[str]]:
    """Answers the first job: by the last part of a URL, bytes or an error's code. Gives the URLs that it was asked."""
    seen: list[str] = []

    def work() -> None:
        while not (job := jobs.claim(ctx.database, "w", "data")):
            if ended.wait(0.02):
                return
        with ctx.database.read() as connection:
            waiting = asked_urls.waiting(connection, job.payload["rows"])
        seen.extend(row.url for row in waiting)
        answers = [(row.seq, found[row.url.rpartition("/")[2].partition("?")[0]]) for row in waiting]
        with ctx.database.write() as connection:
            asked_urls.apply(
                connection,
                [
                    Fetched(seq, 30001, "", ctx.blobs.put(what))
                    if isinstance(what, bytes)
                    else Fetched(seq, what, "why")
                    for seq, what in answers
                ],
            )
            jobs.finish(connection, job)

    ended = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def rows(ctx: Context) -> int:
    with ctx.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(tables.asked_urls)).scalar_one())


def test_urls_are_fetched_together_and_bytes_are_left_alone(ctx: Context) -> None:
    data = picture()
    here = Input(data=resources_pb2.Data(image=resources_pb2.Image(base64=b"here")))
    with worker(ctx, a=data, b=47101, t="naïve".encode()) as seen:
        sent = [
            by_url("https://h.example/a?k=1"),
            here,
            by_url("https://h.example/b"),
            by_url("https://h.example/t", "text"),
        ]
        first, second, third, fourth = with_bytes(ctx, sent)
    assert seen == ["https://h.example/a?k=1", "https://h.example/b", "https://h.example/t"]
    assert isinstance(first, Input) and first.data.image.base64 == data
    assert second is here
    assert isinstance(third, LuthierError) and (third.code, third.details) == (47101, "why")
    assert isinstance(fourth, Input) and fourth.data.text.raw == "naïve"
    assert rows(ctx) == 0


def test_without_urls_nothing_is_asked(ctx: Context) -> None:
    sent = [Input(id="a"), Input(data=resources_pb2.Data(text=resources_pb2.Text(raw="x")))]
    assert with_bytes(ctx, sent) == sent
    assert jobs.claim(ctx.database, "w", "data") is None


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://localhost/", "http://h:22/", "http://u:p@h/"])
def test_bad_G1_G2_G8_G9_what_may_not_be_asked_spoils_no_other(ctx: Context, url: str) -> None:
    with worker(ctx, a=b"bytes") as seen:
        bad, good = with_bytes(ctx, [by_url(url), by_url("https://h.example/a")])
    assert isinstance(bad, LuthierError) and bad.code == 30106
    assert isinstance(good, Input)
    assert seen == ["https://h.example/a"]


def test_nobody_waits_for_ever(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched, "WAIT_SECONDS", 0.2)
    (answer,) = with_bytes(ctx, [by_url(URL)])
    assert isinstance(answer, LuthierError) and (answer.code, "within" in answer.details) == (47101, True)
    assert rows(ctx) == 0


def test_our_own_addresses_are_read_from_disk(ctx: Context) -> None:
    data = picture()
    ctx = replace(ctx, settings=replace(ctx.settings, fetch_urls=False))
    prefix, suffix = signed_media_url(ctx.settings, ctx.blobs.put(data))
    (answer,) = with_bytes(ctx, [by_url(f"{prefix}/orig/{suffix}")])
    assert isinstance(answer, Input) and answer.data.image.base64 == data
    (gone,) = with_bytes(ctx, [by_url("/orig/".join(signed_media_url(ctx.settings, "0" * 64)))])
    assert isinstance(gone, LuthierError) and "deleted" in gone.details
    (wrong,) = with_bytes(ctx, [by_url(f"{prefix}/orig/{suffix}", "text")])
    assert isinstance(wrong, LuthierError) and wrong.code == 30300


def test_the_urls_of_one_call_bring_so_much_and_no_more(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched, "MOST_BYTES", 25)
    with worker(ctx, a=b"0123456789", b=b"9876543210"):
        answers = with_bytes(ctx, [by_url(f"https://h.example/{name}") for name in "aba"])
    assert [isinstance(answer, Input) for answer in answers] == [True, True, False]
    assert isinstance(answers[2], LuthierError) and answers[2].code == 30105


def test_bad_G14_what_is_shown_of_a_url_holds_no_secret() -> None:
    assert shown_url(URL + "?sig=abc") == URL + "?sig=***"
    assert shown_url("no url") == ""


def test_rows_of_calls_that_died_are_removed(ctx: Context) -> None:
    from luthier.worker import housekeeping

    with ctx.database.write() as connection:
        asked_urls.ask(connection, "ann", [("image", urls.parse(URL))])
    housekeeping.tidy(ctx.settings, ctx.database, ctx.blobs)
    assert rows(ctx) == 1
    housekeeping.tidy(ctx.settings, ctx.database, ctx.blobs, grace_seconds=-10)
    assert rows(ctx) == 0
