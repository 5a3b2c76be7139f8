"""Server-sent events: what someone sees who follows a training or their jobs."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from luthier.api.events import EVENTS_PATH
from luthier.store import accounts, jobs, tokens, versions
from luthier.store.database import now
from luthier.store.secrets import signed_log_url
from luthier.store.tables import models
from tests.api.conftest import Running, running, settings_for

Told = tuple[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.api.events.POLL_SECONDS", 0.05)


@contextmanager
def following(server: Running, query: str = "", token: str | None = "") -> Iterator[Iterator[Told]]:
    """The events as they come; comments are passed over."""
    headers = {} if token is None else {"Authorization": f"Key {token or server.token}"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", f"{EVENTS_PATH}{query}", headers=headers)
    response = connection.getresponse()
    assert response.status == 200 and response.getheader("content-type", "").startswith("text/event-stream")
    try:
        yield _told(response)
    finally:
        connection.close()


def _told(response: http.client.HTTPResponse) -> Iterator[Told]:
    name = ""
    for line in response:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield name, json.loads(text.removeprefix("data: "))


def make_version(server: Running, id: str) -> int:
    """A queued training of a model in an app of its own."""
    app = server.make_app(f"app-{id}")
    with server.database.write() as connection:
        row = {"app": app, "id": "m", "model_type": "visual-classifier", "message": b""}
        added = connection.execute(insert(models).values(**row, created_at=now(), modified_at=now()))
        model = int(added.inserted_primary_key[0])
        return versions.create(connection, model, id, b"", status=versions.Status.QUEUED, template="t")


def test_a_training_is_followed_to_its_end(server: Running) -> None:
    seq = make_version(server, "v1")
    with following(server, "?model_version=v1") as told:
        name, first = next(told)
        assert (name, first["code"], first["model_version"], first["model"]) == ("version", 21103, "v1", "m")
        with server.database.write() as connection:
            versions.to_training(connection, seq, run_folder="v1", details="")
        assert next(told)[1]["code"] == 21101
        with server.database.write() as connection:
            versions.progress(connection, seq, 40, 90, "epoch 4 of 10")
        moved = next(told)[1]
        assert (moved["percent_completed"], moved["time_remaining"], moved["details"]) == (40, 90, "epoch 4 of 10")
        with server.database.write() as connection:
            versions.to_trained(connection, seq, "checkpoints/best", {}, 20)
        assert next(told)[1]["code"] == 21100
        assert list(told) == [("end", {"code": 21100})]  # and the stream is closed


def test_the_signature_of_the_log_follows_too(server: Running) -> None:
    make_version(server, "v2")
    signature = signed_log_url(server.settings, "v2").partition("?")[2]
    with following(server, f"?model_version=v2&{signature}", token=None) as told:
        assert next(told)[1]["code"] == 21103
    assert server.ask("GET", f"{EVENTS_PATH}?model_version=v1&{signature}", token=None).status == 404


def test_a_deleted_version_ends_its_stream(server: Running) -> None:
    seq = make_version(server, "v3")
    with following(server, "?model_version=v3") as told:
        next(told)
        with server.database.write() as connection:
            versions.delete(connection, seq)
        assert [(name, data["code"]) for name, data in told] == [("end", 11101)]


def test_bad_A1_A7_A8_A9_who_may_not_follow(server: Running) -> None:
    make_version(server, "v4")
    other = server.make_app("elsewhere")
    with server.database.write() as connection:
        stranger = tokens.make(connection, accounts.add(connection, "bob"), description="", scopes=["All"])[0]
    narrow = server.make_token(["Predict"])[0]
    of_an_app = server.make_token(["All"], app=other)[0]
    path = f"{EVENTS_PATH}?model_version=v4"
    assert server.ask("GET", path, token=None).code == 11008
    assert server.ask("GET", path, token=stranger).code == 11101
    assert server.ask("GET", path, token=narrow).code == 11007
    assert server.ask("GET", path, token=of_an_app).code == 11101
    assert server.ask("GET", EVENTS_PATH, token=of_an_app).code == 11007
    assert server.ask("GET", EVENTS_PATH, token=narrow).code == 11007
    assert server.ask("GET", f"{EVENTS_PATH}?model_version=nothing").code == 11101
    assert server.ask("POST", path, {}).status == 405


def test_jobs_are_followed(server: Running) -> None:
    seq = make_version(server, "v5")
    with following(server) as told:
        with server.database.write() as connection:
            jobs.enqueue(connection, "training", "test-lane", "luthier", {}, subject=seq)
            jobs.enqueue(connection, "training", "test-lane", "bob", {})
        name, first = next(told)
        assert (name, first["kind"], first["state"], first["model_version"]) == ("job", "training", "queued", "v5")
        job = jobs.claim(server.database, "worker", "test-lane")
        assert job and next(told)[1]["state"] == "running"
        jobs.heartbeat(server.database, job, 7)
        assert next(told)[1]["progress"] == 7
        with server.database.write() as connection:
            jobs.finish(connection, job)
        last = next(told)[1]
        assert (last["job"], last["state"]) == (first["job"], "done")


def test_a_stream_ends_with_its_token(server: Running) -> None:
    make_version(server, "v6")
    token, id = server.make_token(["All"])
    with following(server, "?model_version=v6", token) as told:
        next(told)
        with server.database.write() as connection:
            tokens.revoke(connection, id)
        assert [(name, data["code"]) for name, data in told] == [("end", 11001)]


def test_a_silent_stream_says_that_it_is_alive(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.api.events.ALIVE_SECONDS", 0.2)
    make_version(server, "v7")
    head = f"GET {EVENTS_PATH}?model_version=v7 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Key {server.token}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(f"{head}\r\n".encode())
        received = b""
        while received.count(b": alive\n\n") < 2:
            part = connection.recv(65536)
            assert part, "the stream was closed"
            received += part


def test_streams_are_counted_and_given_back(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.api.events.MOST_STREAMS", 1)
    make_version(server, "v8")
    path = f"{EVENTS_PATH}?model_version=v8"
    deadline = time.monotonic() + 10
    while server.ask("GET", path, token="x").code == 11006 and time.monotonic() < deadline:  # those of earlier tests
        time.sleep(0.1)
    with following(server, "?model_version=v8") as told:
        next(told)
        assert server.ask("GET", path).code == 11006
    while server.ask("GET", path, token="x").code == 11006:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_streams_end_when_the_server_drains(tmp_path: Path) -> None:
    servers = running(settings_for(tmp_path))
    server = next(servers)
    with following(server) as told:
        started = time.monotonic()
        next(servers, None)  # stops it
        assert list(told) == [] and time.monotonic() - started < 2
