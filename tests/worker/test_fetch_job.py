"""Inputs by URL in the worker: fetched, checked, kept; and what a slow host, a restart and a failure change."""

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from luthier.errors import DiskFull
from luthier.store import asked_urls, jobs, urls
from luthier.store.blobs import Blobs
from luthier.store.fetches import Fetched
from luthier.store.tables import asked_urls as asked_urls_table
from luthier.store.tables import input_urls, inputs
from luthier.store.tables import jobs as jobs_table
from luthier.worker.fetching.fetcher import Fetcher
from luthier.worker.loop import Worker
from tests.worker.web import Play, Server, answer, by_path
from tests.worker.world import World

Start = Callable[..., Worker]


class Web:
    """A server whose pages the test may still change."""

    def __init__(self) -> None:
        self.pages: dict[str, Play] = {}
        self.server = Server(lambda connection, question: by_path(**self.pages)(connection, question))
        self.canary = Server(answer(b"canary"))  # on a port that is fetched from, at an address that is not

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server.port}/{path}"


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.server.close()
    made.canary.close()


@pytest.fixture
def world(tmp_path: Path, web: Web) -> Iterator[World]:
    port, ports = web.server.port, f"80,443,{web.canary.port}"
    allow = f"127.0.0.1:{port}, localhost:{port}"
    made = World(tmp_path / "data", offline=False, fetch_allow=allow, fetch_ports=ports, max_input_mb=1)
    yield made
    made.close()


def rows(world: World) -> dict[int, Any]:
    with world.database.read() as connection:
        return {row.seq: row for row in connection.execute(select(inputs))}


def codes(world: World) -> list[int]:
    return [row.status for _, row in sorted(rows(world).items())]


def done(world: World) -> bool:
    return 30001 not in codes(world)


def kept_urls(world: World) -> list[str]:
    with world.database.read() as connection:
        return list(connection.execute(select(input_urls.c.url)).scalars())


def test_pictures_and_texts_are_fetched_checked_and_kept(
    world: World, web: Web, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    picture = digits[0][1]
    web.pages = {"a": answer(picture, Content_Type="text/html"), "t": answer(b"\xef\xbb\xbfna\xc3\xafve\r\n")}
    (a,), (t,) = world.add_urls([web.url("a.jpg")]), world.add_urls([web.url("t")], "text")
    start_worker()
    world.until(lambda: done(world))
    found = rows(world)
    assert (found[a].status, found[a].format, found[a].width, found[a].size) == (30000, "PNG", 8, len(picture))
    assert found[a].blob == hashlib.sha256(picture).hexdigest()
    assert world.blobs.read(found[a].blob) == picture
    assert (found[t].status, world.blobs.read(found[t].blob)) == (30000, "naïve\r\n".encode())


def test_bad_G11_what_is_no_content_says_why(
    world: World, web: Web, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    web.pages = {
        "page": answer(b"<html>not found</html>", Content_Type="image/png"),
        "gone": answer(b"", "404 Not Found"),
        "half": answer(digits[0][1][:60]),
        "large": answer(b"\0" * 1_048_577),
        "good": answer(digits[0][1]),
    }
    seqs = world.add_urls([web.url(name) for name in web.pages])
    latin, blank = world.add_urls([web.url("page?x"), web.url("gone?y")], "text")
    web.pages["page"] = lambda c, q: answer(b"caf\xe9" if "?x" in q else b"<html>")(c, q)
    web.pages["gone"] = lambda c, q: (answer(b" \n") if "?y" in q else answer(b"", "404 Not Found"))(c, q)
    start_worker()
    world.until(lambda: done(world))
    found = rows(world)
    assert [found[seq].status for seq in seqs] == [30101, 47101, 47104, 47103, 30000]
    assert "404" in found[seqs[1]].details and "1 MiB" in found[seqs[3]].details
    assert (found[latin].status, "byte 3 is 0xe9" in found[latin].details) == (30300, True)
    assert found[blank].status == 30104
    assert kept_urls(world) == [""] * 7


def test_bad_G2_this_machine_by_any_spelling_sees_no_connection(world: World, web: Web, start_worker: Start) -> None:
    """The whole way through the worker; `test_fetching` has the long list."""
    port = web.canary.port
    hosts = ("127.0.0.1", "127.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]")
    world.add_urls([f"http://{host}:{port}/" for host in hosts])
    start_worker()
    world.until(lambda: done(world))
    assert codes(world) == [30106] * len(hosts)
    assert web.canary.connections == 0


def test_bad_G13_a_slow_host_has_four_connections_and_holds_up_nobody(
    world: World, web: Web, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    gate, picture = threading.Event(), digits[0][1]

    def slow(connection: Any, question: str) -> None:
        gate.wait(20)
        answer(picture)(connection, question)

    web.pages = {"slow": slow, "quick": answer(digits[1][1])}
    for _ in range(12):
        world.add_urls([web.url(f"slow?{number}") for number in range(8)])
    start_worker()
    world.until(lambda: web.server.most_at_once == 4)
    time.sleep(0.5)
    other = world.add_urls([web.url(f"quick?{number}", "localhost") for number in range(8)], user="eve")
    world.until(lambda: all(rows(world)[seq].status == 30000 for seq in other), 10)
    assert len(web.server.asked) == 4 + 8
    gate.set()
    world.until(lambda: done(world))
    assert codes(world) == [30000] * 104
    slow_ones = [asked for asked in web.server.asked if "/slow" in asked]
    assert len(slow_ones) == 96
    assert web.server.most_at_once <= 4 + 4


def test_bad_G13_the_queue_survives_a_restart(
    world: World, web: Web, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    gate = threading.Event()

    def play(connection: Any, question: str) -> None:
        if not question.startswith("GET /a?0 "):
            gate.wait(20)
        answer(digits[0][1])(connection, question)

    web.pages = {"a": play}
    world.add_urls([web.url(f"a?{number}") for number in range(9)])
    first = start_worker()
    world.until(lambda: codes(world).count(30000) == 1)
    first.end_at_once()
    assert first.join(10)
    assert codes(world).count(30001) == 8
    gate.set()
    start_worker()
    world.until(lambda: done(world))
    assert codes(world) == [30000] * 9
    assert sum(asked.startswith("GET /a?0 ") for asked in web.server.asked) == 1


def test_bad_G14_the_urls_of_cancelled_inputs_are_dropped_too(world: World, web: Web, start_worker: Start) -> None:
    world.add_urls([web.url("a?secret")])
    with world.database.write() as connection:
        connection.execute(update(inputs).values(status=30002))
    assert kept_urls(world) == [web.url("a?secret")]
    start_worker()
    world.until(lambda: kept_urls(world) == [""])
    assert web.server.connections == 0


def test_bad_G15_what_was_fetched_once_is_kept(
    world: World, web: Web, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    contents = itertools.chain([digits[0][1]], itertools.repeat(digits[1][1]))
    web.pages = {"a": lambda c, q: answer(next(contents))(c, q)}
    (seq,) = world.add_urls([web.url("a")])
    start_worker()
    world.until(lambda: done(world))
    with world.database.write() as connection:
        jobs.enqueue(connection, "fetch", "data", "ada", {"rows": [seq]})  # a job that comes twice
    world.until(lambda: not waiting(world))
    assert web.server.connections == 1
    assert world.blobs.read(rows(world)[seq].blob) == digits[0][1]


def waiting(world: World) -> list[str]:
    with world.database.read() as connection:
        states = connection.execute(select(jobs_table.c.state)).scalars()
        return [state for state in states if state in ("queued", "running")]


def test_a_full_disk_is_no_fault_of_the_url(
    world: World, web: Web, digits: list[tuple[str, bytes]], start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = Blobs.put, itertools.count()

    def put(self: Blobs, data: bytes) -> str:
        if next(times) == 0:
            raise DiskFull("2 bytes are free")
        return real(self, data)

    monkeypatch.setattr(Blobs, "put", put)
    web.pages = {"a": answer(digits[0][1])}
    world.add_urls([web.url("a")])
    start_worker()
    world.until(lambda: done(world))
    assert codes(world) == [30000]


def test_what_cannot_be_fetched_at_all_does_not_stay_pending(
    world: World, web: Web, start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **named: Any) -> bytes:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(Fetcher, "fetch", broken)
    (seq,) = world.add_urls([web.url("a?secret")])
    start_worker()
    world.until(lambda: done(world))
    assert rows(world)[seq].status == 47101
    assert rows(world)[seq].details.count("a mistake of ours") == 3
    assert kept_urls(world) == [""]


def test_what_a_call_waits_for_comes_before_a_long_list(
    world: World, web: Web, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    gate = threading.Event()

    def slow(connection: Any, question: str) -> None:
        gate.wait(20)
        answer(digits[0][1])(connection, question)

    web.pages = {"slow": slow, "a": answer(digits[1][1]), "page": answer(b"<html>"), "t": answer(b"\xef\xbb\xbfhello")}
    for number in range(8):
        world.add_urls([web.url(f"slow?{number}-{n}", "localhost") for n in range(8)])
    start_worker()
    world.until(lambda: web.server.most_at_once == 4)
    wanted = [("image", "a?1"), ("image", "page"), ("text", "t"), ("image", "gone")]
    web.pages["gone"] = answer(b"", "410 Gone")
    began = time.monotonic()
    with world.database.write() as connection:
        seqs = asked_urls.ask(connection, "eve", [(kind, urls.parse(web.url(path))) for kind, path in wanted])
    found = world.until(lambda: len(f := answered(world, seqs)) == 4 and f)
    assert time.monotonic() - began < 5
    gate.set()
    a, page, text, gone = (found[seq] for seq in seqs)
    assert (a.status, world.blobs.read(a.blob)) == (30001, digits[1][1])
    assert (page.status, gone.status, "410" in gone.details) == (30101, 47101, True)
    assert (text.status, world.blobs.read(text.blob)) == (30000, b"hello")
    with world.database.read() as connection:
        assert set(connection.execute(select(asked_urls_table.c.url)).scalars()) == {""}


def test_videos_that_a_call_waits_for_may_be_larger_than_pictures(world: World, web: Web, start_worker: Start) -> None:
    film = b"GIF89a" + bytes(1 << 20)
    web.pages = {"film": answer(film), "page": answer(b"<html>")}
    start_worker()
    wanted = [("video", "film"), ("image", "film?1"), ("video", "page")]
    with world.database.write() as connection:
        seqs = asked_urls.ask(connection, "eve", [(kind, urls.parse(web.url(path))) for kind, path in wanted])
    found = world.until(lambda: len(f := answered(world, seqs)) == 3 and f)
    video, picture, page = (found[seq] for seq in seqs)
    assert (video.status, world.blobs.read(video.blob)) == (30000, film)
    assert (picture.status, page.status) == (47103, 30101)


def answered(world: World, seqs: list[int]) -> dict[int, Fetched]:
    with world.database.read() as connection:
        return asked_urls.answered(connection, seqs)
