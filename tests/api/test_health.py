"""/livez and /readyz (P42): what is wrong is told within seconds, and forgotten as quickly once it is repaired."""

import json
import shutil
import sqlite3
import threading
import time
import urllib.request
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from luthier.api import health
from luthier.api.health import Health
from tests.api.conftest import Running, running, settings_for
from tests.postgres import Postgres

SECONDS = 5.0
assert health.PATIENCE_SECONDS + health.FRESH_SECONDS <= SECONDS, "the longest that an answer can be behind the truth"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose folder and disk these tests may break."""
    yield from running(settings_for(tmp_path_factory.mktemp("own") / "data"))


@pytest.fixture
def on_postgresql(tmp_path: Path, postgres: Postgres) -> Iterator[Running]:
    with postgres.database() as url:
        yield from running(settings_for(tmp_path, LUTHIER_DATABASE_URL=url))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.2)


def asked(server: Running, path: str) -> tuple[int, dict[str, Any]]:
    url = f"http://{server.settings.http_address}{path}"
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refused:
        return refused.code, json.load(refused)


def until(server: Running, ready: bool) -> list[str]:
    """The reasons, once it says so; that must be within SECONDS, and it lives all the while."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        status, shape = asked(server, "/readyz")
        assert (status == 200) is shape["ready"] and asked(server, "/livez") == (200, {"live": True})
        if shape["ready"] is ready:
            return list(shape["reasons"])
        time.sleep(0.1)
    raise AssertionError(f"not {'ready' if ready else 'in trouble'} within {SECONDS} s")


def test_all_is_well(server: Running) -> None:
    assert asked(server, "/livez") == (200, {"live": True})
    assert asked(server, "/readyz") == (200, {"ready": True, "reasons": []})
    assert server.ask("POST", "/livez", b"{}", token=None).status == 405


def test_a_data_folder_that_is_gone(own: Running) -> None:
    until(own, ready=True)
    folder = own.settings.data_dir
    folder.rename(folder.with_name("elsewhere"))
    try:
        (reason,) = until(own, ready=False)
        assert "data folder cannot be written" in reason and str(folder) not in reason
    finally:
        folder.with_name("elsewhere").rename(folder)
    assert until(own, ready=True) == []


def test_a_full_disk(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    until(own, ready=True)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40 - 5, 5))
        (reason,) = until(own, ready=False)
        assert "below the reserve of 1 MiB" in reason
    assert until(own, ready=True) == []


def test_a_disk_that_takes_empty_files_alone(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that is full for this user only: by quota, or for want of blocks but not of names."""
    whole = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if data and path.name.startswith(".writable"):
            raise OSError(28, "No space left on device")
        return whole(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert until(own, ready=False) == ["the data folder cannot be written: No space left on device"]
    assert until(own, ready=True) == []
    assert not list(own.settings.data_dir.glob(".writable*"))


def test_a_sqlite_that_another_program_holds(own: Running) -> None:
    with sqlite3.connect(own.settings.database_file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "did not take a write" in until(own, ready=False)[0]
        other.execute("ROLLBACK")
    other.close()
    assert until(own, ready=True) == []


def test_a_postgresql_that_is_down(on_postgresql: Running, postgres: Postgres) -> None:
    own = on_postgresql
    until(own, ready=True)
    with postgres.down(own.settings.database_url):
        assert until(own, ready=False) == ["the database cannot be written; the server's log says why"]
        refused = own.ask("GET", "/v2/users/me")
        assert refused.status in (500, 503) and "luthier@" not in refused.body.decode()
    assert until(own, ready=True) == []
    assert own.ask("GET", "/v2/users/me").status == 200


class Slow:
    """A database that counts how often it is asked for a write, and takes its time."""

    def __init__(self) -> None:
        self.asked = 0

    def write(self) -> Any:
        self.asked += 1
        time.sleep(0.5)  # below the patience
        raise OSError("attempt to write a readonly database: /secret/path")


def test_many_who_ask_at_once_cost_one_look(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    time.sleep(0.3)  # until the last answer is no longer given again
    monkeypatch.setattr(Health, "_database_trouble", _as_if_of(slow))
    answers: list[tuple[int, dict[str, Any]]] = []
    threads = [threading.Thread(target=lambda: answers.append(asked(server, "/readyz"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slow.asked == 1 and {status for status, _ in answers} == {503}
    assert "/" not in answers[0][1]["reasons"][0]


def _as_if_of(database: Any) -> Callable[[Health], str]:
    found = Health._database_trouble

    def trouble(health: Health) -> str:
        health._database = database
        return found(health)

    return trouble
