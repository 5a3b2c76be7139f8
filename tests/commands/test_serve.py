"""`luthier serve` as a whole: first start, ready, restart of what dies, stop, refusals."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from luthier.commands.command_line import run
from tests.commands.process_table import alive, processes
from tests.conftest import free_port


class Served:
    """A `luthier serve` with its own data folder; `said` and `errors` are what it printed so far."""

    def __init__(self, root: Path, environment: dict[str, str], http: str) -> None:
        self.root, self.environment, self.http = root, environment, http
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        with (self.root / "out").open("wb") as out, (self.root / "err").open("wb") as errors:
            command = [sys.executable, "-m", "luthier", "serve", *options]
            self.process = subprocess.Popen(
                command, stdout=out, stderr=errors, env=self.environment, start_new_session=True
            )

    @property
    def said(self) -> str:
        return (self.root / "out").read_text()

    @property
    def errors(self) -> str:
        return (self.root / "err").read_text()

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.errors
        return "is ready." in self.said

    def ask(self, path: str, token: str = "") -> dict[str, object]:
        request = urllib.request.Request(f"http://{self.http}{path}", headers={"Authorization": f"Key {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, object] = json.load(answer)
        return found

    def children(self) -> dict[str, int]:
        """Process ids by command: api, worker, predictors."""
        assert self.process is not None
        mine = [one for one in processes() if one.parent == self.process.pid and one.state != "Z"]
        names = {one.pid: re.search(r"-m luthier (\w+)", one.command) for one in mine}
        return {name[1]: pid for pid, name in names.items() if name}

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def until(done: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("serve here")  # with a space in its name
    names = ("HTTP_ADDRESS", "GRPC_ADDRESS", "GRPC_TLS_ADDRESS")
    addresses = {f"LUTHIER_{name}": f"127.0.0.1:{free_port()}" for name in names}
    data = {"LUTHIER_DATA_DIR": str(root / "data"), "LUTHIER_WARM_START": "no"}
    served = Served(root, {**os.environ, **addresses, **data}, addresses["LUTHIER_HTTP_ADDRESS"])
    served.start()
    until(served.ready)
    yield served
    if served.process and served.process.poll() is None:
        served.stop()


def first_token(server: Served) -> str:
    found = re.search(r"export CLARIFAI_PAT=(luth_pat_\w+)", server.said)
    assert found
    return found[1]


def test_the_first_start_shows_a_token_that_works(server: Served) -> None:
    assert server.said.count("luth_pat_") == 1
    user = server.ask("/v2/users/me", first_token(server))
    assert user["user"]["id"] == "luthier"  # type: ignore[index]
    assert first_token(server) not in server.errors


def test_the_ready_block_names_addresses_data_and_authority(server: Served) -> None:
    block = server.said[server.said.index("Luthier ") :]
    for text in (*(server.environment[f"LUTHIER_{n}_ADDRESS"] for n in ("HTTP", "GRPC", "GRPC_TLS")), str(server.root)):
        assert text in block
    assert (server.root / "data" / "tls" / "ca.pem").exists()
    assert f"kill {server.process.pid}" in block if server.process else False


def test_a_revoked_token_is_refused_at_once(server: Served) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "luthier", "token", "create", "--json"],
        env=server.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    token = json.loads(made.stdout.splitlines()[-1])["token"]
    assert server.ask("/v2/users/me", token)
    revoke = [sys.executable, "-m", "luthier", "token", "revoke", token]
    subprocess.run(revoke, env=server.environment, capture_output=True, check=True)
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.ask("/v2/users/me", token)
    assert refused.value.code == 401


@pytest.mark.parametrize("name", ["worker", "predictors", "api"])
def test_a_killed_process_is_replaced(name: str, server: Served) -> None:
    until(lambda: len(server.children()) == 3)
    before = server.children()
    os.kill(before[name], signal.SIGKILL)
    until(lambda: len(server.children()) == 3 and server.children()[name] != before[name])
    after = server.children()
    assert {other: after[other] for other in before if other != name} == {
        other: before[other] for other in before if other != name
    }
    assert "killed by SIGKILL" in server.errors
    until(lambda: answers(server))


def answers(server: Served) -> bool:
    try:
        return server.ask("/livez") == {"live": True}
    except OSError:
        return False


def test_a_second_server_on_the_same_data_is_refused(server: Served) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "luthier", "serve"],
        env={**server.environment, "LUTHIER_HTTP_ADDRESS": f"127.0.0.1:{free_port()}"},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert answer.returncode == 2
    assert server.process
    assert f"another luthier serve (process {server.process.pid})" in answer.stderr


def test_sigterm_ends_everything_and_the_second_start_shows_no_token(server: Served) -> None:
    until(lambda: len(server.children()) == 3)
    pids = list(server.children().values())
    assert server.stop() == 0
    assert not [pid for pid in pids if alive(pid)]
    assert "Luthier has stopped." in server.said

    server.start("--quiet")
    until(lambda: answers(server))
    assert server.said == ""
    until(lambda: len(server.children()) == 3)


def test_processes_end_when_serve_is_killed(server: Served) -> None:
    pids = list(server.children().values())
    assert server.process
    server.process.kill()
    server.process.wait()
    until(lambda: not [pid for pid in pids if alive(pid)], 45)


# -- refusals: nothing is started --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LUTHIER_HTTP_ADDRESS", "LUTHIER_GRPC_ADDRESS", "LUTHIER_GRPC_TLS_ADDRESS"])
def test_a_taken_port_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        for each in ("HTTP", "GRPC", "GRPC_TLS"):
            monkeypatch.setenv(f"LUTHIER_{each}_ADDRESS", f"127.0.0.1:{free_port()}")
        monkeypatch.setenv(name, address)
        monkeypatch.setenv("LUTHIER_DATA_DIR", str(tmp_path / "data"))
        assert run(["serve"]) == 2
    said = capsys.readouterr()
    assert f"{name} is {address}: this port is taken" in said.err
    assert said.out == ""


@pytest.mark.parametrize("address", ["8080", "127.0.0.1:web", "127.0.0.1:99999", "no.such.host.invalid:1"])
def test_a_bad_address_is_named(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LUTHIER_HTTP_ADDRESS", address)
    monkeypatch.setenv("LUTHIER_DATA_DIR", str(tmp_path / "data"))
    assert run(["serve"]) == 2
    assert f"LUTHIER_HTTP_ADDRESS is {address}: " in capsys.readouterr().err


@pytest.mark.parametrize("name, value", [("fetch_allow", "minio"), ("fetch_ports", "80,https")])
def test_a_bad_list_for_fetching_is_named_before_anything_starts(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"LUTHIER_{name.upper()}", value)
    monkeypatch.setenv("LUTHIER_DATA_DIR", str(tmp_path / "data"))
    assert run(["serve"]) == 2
    assert name in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
