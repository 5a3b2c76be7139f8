"""The API and a worker as processes that a test starts and kills itself, where `luthier serve` would take its time."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from clarifai_grpc.grpc.api import resources_pb2

from luthier.settings import Settings
from tests.e2e.client import Client
from tests.e2e.conftest import Server

START_SECONDS = 60


class Apart:
    """A context manager: the database is made and a user has a token; no process runs yet."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.settings = Settings(
            data_dir=server.data_dir,
            database_url=server.environment.get("LUTHIER_DATABASE_URL", ""),
            http_address=server.http,
        )
        self._api: subprocess.Popen[bytes] | None = None
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Apart":
        self.server.data_dir.mkdir()
        self.server.command("migrate")
        said = self.server.command("token", "create", "--user", "chaos", "--new-user", "--json")
        made = json.loads(said.splitlines()[-1])
        self.server.user_id, self.server.token = made["user_id"], made["token"]
        return self

    def __exit__(self, *error: object) -> None:
        self.stop_api()
        self.stop_worker()

    @property
    def http(self) -> tuple[str, int]:
        return _split(self.server.http)

    @property
    def grpc(self) -> tuple[str, int]:
        return _split(self.server.grpc)

    def new_app(self, id: str) -> Client:
        """A client in an app of its own; the API must run."""
        client = Client(self.server, id)
        client.PostApps(apps=[resources_pb2.App(id=id)])
        return client

    def start_api(self, *under: str) -> int:
        """Its process id, once it answers; `under` is a program that becomes it, with its arguments."""
        self.stop_api()
        self._api = self._start("api", *under)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._api.poll() is None, self.log.read_text(errors="replace")[-4000:]
            assert time.monotonic() < deadline, "the API does not answer"
            time.sleep(0.02)
        return self._api.pid

    def kill_api(self) -> None:
        assert self._api is not None and self._api.poll() is None, "it ended by itself"
        self._api.kill()
        self._api.wait()

    def stop_api(self) -> None:
        _end(self._api)

    def start_worker(self) -> None:
        if self._worker is None:
            self._worker = self._start("worker")

    def stop_worker(self) -> None:
        _end(self._worker)
        self._worker = None

    @property
    def log(self) -> Path:
        return self.server.data_dir.parent / "server.log"

    def _start(self, command: str, *under: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            arguments = [*under, sys.executable, "-m", "luthier", command]
            return subprocess.Popen(arguments, env=self.server.environment, stdout=log, stderr=log)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.server.url}/livez", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _end(process: "subprocess.Popen[bytes] | None") -> None:
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
