"""A real server for the published clients: `luthier serve` with its own data folder and ports."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import pytest

from tests import postgres as postgresql
from tests.conftest import free_port
from tests.postgres import Postgres

START_SECONDS = 60
DATABASES = ("sqlite", "postgresql")  # whatever clients see, they see it on both
# what models learn does not depend on the database
ON_ONE_DATABASE = pytest.mark.parametrize("server", DATABASES[:1], indirect=True)


@dataclass
class Server:
    data_dir: Path
    http: str
    grpc: str
    tls: str
    environment: dict[str, str]
    user_id: str = ""
    token: str = field(default="", repr=False)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.http}"

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "luthier", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def start(self) -> None:
        log = (self.data_dir.parent / "server.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "luthier", "serve"],
            env=self.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            assert self.process.poll() is None, (self.data_dir.parent / "server.log").read_text()
            assert time.monotonic() < deadline, "the server is not ready in a minute"
            time.sleep(0.1)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=40)

    def client_environment(self) -> dict[str, str]:
        """What the guides' snippets are given: an address and a certificate, nothing else."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.data_dir.parent),
            "CLARIFAI_GRPC_BASE": self.tls,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(self.data_dir / "tls" / "ca.pem"),
            "USER_ID": self.user_id,
            "PAT": self.token,
        }


def new_server(root: Path, **settings: str) -> Server:
    ports = [free_port() for _ in range(3)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LUTHIER_", "CLARIFAI_"))}
    environment |= {
        "LUTHIER_DATA_DIR": str(root / "data"),
        "LUTHIER_HTTP_ADDRESS": f"127.0.0.1:{ports[0]}",
        "LUTHIER_GRPC_ADDRESS": f"127.0.0.1:{ports[1]}",
        "LUTHIER_GRPC_TLS_ADDRESS": f"127.0.0.1:{ports[2]}",
        "LUTHIER_OFFLINE": "1",
        "LUTHIER_WARM_START": "0",  # one trainer more for each server, which most tests never ask for
        **{f"LUTHIER_{key.upper()}": value for key, value in settings.items()},
    }
    addresses = [f"127.0.0.1:{port}" for port in ports]
    return Server(root / "data", addresses[0], addresses[1], f"localhost:{ports[2]}", environment)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        made = json.loads(server.command("token", "create", "--json").splitlines()[-1])
        server.user_id, server.token = made["user_id"], made["token"]
        yield server
    finally:
        server.stop()


@contextmanager
def on(kind: str, postgres: Callable[[], Postgres], root: Path, **settings: str) -> Iterator[Server]:
    """A running server on a kind of database; `postgres` is asked where that is PostgreSQL."""
    if kind == "sqlite":
        with running(new_server(root, **settings)) as server:
            yield server
        return
    with postgres().bare() as url, running(new_server(root, database_url=url, **settings)) as server:
        yield server


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Those that run, one on each kind of database, each started when it is first asked for."""
    with ExitStack() as stack:
        postgres = partial(stack.enter_context, postgresql.server())  # which outlives the server on it

        @cache
        def started(kind: str) -> Server:
            return stack.enter_context(on(kind, postgres, tmp_path_factory.mktemp(f"a server on {kind}")))

        yield started


@pytest.fixture(scope="module", params=DATABASES)
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    return servers(request.param)
