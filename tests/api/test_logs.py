"""The server's log (P39): a line per call with who, what and how long; found by req_id; no secret, no forged line."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from luthier.api.access_log import TextFormatter, masked
from luthier.store import tokens
from luthier.store.database import Database
from luthier.store.migrations import migrate
from tests.api.conftest import Running, settings_for
from tests.api.test_server import PROGRAM

SECRET = "this-is-what-a-user-sent"
FIELDS = {"time", "level", "logger", "req_id", "rpc", "caller", "address", "transport", "status", "code", "ms"}


@dataclass
class Logged:
    """The API in a process of its own that logs JSON, and what it has logged so far."""

    running: Running
    stderr: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.read_text().splitlines()]

    def calls(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["logger"] == "luthier.access"]

    def of(self, req_id: str) -> dict[str, Any]:
        """The one line of a call; it is written when the answer is out."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            found = [line for line in self.calls() if line["req_id"] == req_id]
            if found:
                (one,) = found
                return one
            time.sleep(0.02)
        raise AssertionError(f"no line with {req_id}")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    folder = tmp_path_factory.mktemp("logged")
    settings = settings_for(folder / "data", LUTHIER_LOG_FORMAT="json")
    database = Database.of(settings)
    migrate(database)
    with database.write() as connection:
        _, token = tokens.first_user(connection) or ("", "")
    names = ("http_address", "grpc_address", "grpc_tls_address", "data_dir", "log_format")
    environment = {f"LUTHIER_{name.upper()}": str(getattr(settings, name)) for name in names}
    stderr = folder / "stderr"
    with stderr.open("w") as file:
        started = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    assert started.stdout and started.stdout.readline() == "ready\n", stderr.read_text()
    running = Running(settings, database, token, 1)
    yield Logged(running, stderr)
    for channel in running.channels:
        channel.close()
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) == 0
    started.stdout.close()
    database.close()


def test_a_call_is_a_line(logged: Logged) -> None:
    answer = logged.running.ask("GET", "/v2/users/me")
    line = logged.of(answer.json["status"]["req_id"])
    assert set(line) == FIELDS
    assert (line["rpc"], line["caller"], line["transport"]) == ("GetUser", "luthier", "rest")
    assert (line["status"], line["code"], line["address"]) == (200, 10000, "127.0.0.1") and 0 < line["ms"] < 60_000
    over_grpc = logged.of(logged.running.call("GetUser").status.req_id)
    assert set(over_grpc) == FIELDS and (over_grpc["rpc"], over_grpc["transport"]) == ("GetUser", "grpc")


REFUSED = [
    ("GET", "/v2/nowhere", None, ""),
    ("GET", "/v2/users/me", None, None),
    ("GET", "/v2/users/me", None, "luth_pat_wrong"),
    ("GET", "/v2/users/me/apps/none/inputs", None, ""),
    ("POST", "/v2/users/me/apps", b"{", ""),
    ("POST", "/v2/users/me/apps", b'{"apps": [{"id": "a/b"}]}', ""),
    ("POST", "/v2/users/me/workflows", b"{}", ""),
    ("GET", "/v2/users/me/apps?page=x", None, ""),
    ("PUT", "/v2/users/me", b"{}", ""),
    ("GET", "/luthier/v1/logs/none?sig=abc", None, None),
    ("GET", "/v2/users/a%0d%0ab", None, ""),
]


@pytest.mark.parametrize(("verb", "path", "body", "token"), REFUSED)
def test_every_refusal_is_found_by_its_req_id(
    logged: Logged, verb: str, path: str, body: bytes | None, token: str | None
) -> None:
    answer = logged.running.ask(verb, path, body, token=token)
    assert answer.status >= 400
    line = logged.of(answer.json["status"]["req_id"])
    assert (line["status"], line["code"]) == (answer.status, answer.code)


def test_broken_http_is_found_too(logged: Logged) -> None:
    reply = logged.running.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nbroken\r\n\r\n", wait=5)
    req_id = re.search(rb'"req_id": "([0-9a-f]+)"', reply)
    assert req_id and logged.of(req_id[1].decode())["status"] == 400


def test_no_secret_and_no_users_bytes_are_logged(logged: Logged) -> None:
    """Tokens in every place where people put them, and users' words in every field, good calls and bad ones."""
    server = logged.running
    app = "/v2/users/me/apps/logs"
    made = server.ask("POST", "/v2/users/me/keys", {"keys": [{"scopes": ["All"], "description": SECRET}]}).json
    token = made["keys"][0]["id"]
    asked = [
        server.ask("POST", "/v2/users/me/apps", {"apps": [{"id": "logs", "description": SECRET}]}),
        server.ask("POST", f"{app}/inputs", {"inputs": [{"id": SECRET, "data": {"text": {"raw": SECRET}}}]}),
        server.ask("POST", f"{app}/inputs", {"inputs": [{"id": f"{SECRET}/", "data": {"text": {"raw": SECRET}}}]}),
        server.ask("GET", f"{app}/inputs/{SECRET}"),
        server.ask("GET", f"{app}/inputs?key={token}"),
        server.ask("GET", f"/v2/nothing/{token}"),
        server.ask("GET", f"/v2/nothing?key={token}"),
        server.ask("PATCH", f"/v2/users/me/keys/{token}", {}),
        server.ask("GET", "/v2/users/me", token=token[:-1] + "x"),
        server.ask("GET", "/v2/users/me", headers={"Authorization": f"Basic {token}"}, token=None),
        server.ask("GET", f"/luthier/v1/logs/{'v' * 32}?sig={SECRET}", token=None),
        server.ask("POST", f"{app}/models", {"models": [{"id": "m", "notes": SECRET, "model_type_id": SECRET}]}),
        server.ask("DELETE", f"/v2/users/me/keys/{token}"),
        server.ask("GET", "/v2/users/me", token=token),
    ]
    for answer in asked:
        logged.of(answer.json["status"]["req_id"])
    text = logged.stderr.read_text()
    for secret in (token, token[:-1], server.token, SECRET):
        assert secret not in text
    stored = b"".join(path.read_bytes() for path in server.settings.data_dir.glob("luthier.db*"))
    assert token.encode() not in stored and server.token.encode() not in stored, "the database holds hashes alone"


def test_every_line_is_json_and_every_call_has_one(logged: Logged) -> None:
    before = len(logged.calls())
    for number in range(20):
        logged.running.ask("GET", f"/v2/%0a%0d{{%22req_id%22:%22forged{number}%22}}")
    answer = logged.running.ask("GET", "/livez", token=None)
    assert answer.status == 200
    end = time.monotonic() + 5
    while len(logged.calls()) < before + 21 and time.monotonic() < end:
        time.sleep(0.02)
    assert len(logged.calls()) == before + 21
    assert not any(line["req_id"].startswith("forged") for line in logged.calls())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a luth_pat_0aZ9 b", "a luth_pat_*** b"),
        ('"luth_pat_abc"', '"luth_pat_***"'),
        ("/logs/x?sig=12ab&page=2", "/logs/x?sig=***&page=2"),
        ("?page=1&key=k", "?page=1&key=***"),
        ("nothing to hide, sig = 1", "nothing to hide, sig = 1"),
    ],
)
def test_what_is_masked(text: str, left: str) -> None:
    assert masked(text) == left


def test_tracebacks_are_masked_too() -> None:
    try:
        raise ValueError("luth_pat_verysecret in a message")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    text = TextFormatter().format(record)
    assert "verysecret" not in text and "ValueError" in text
