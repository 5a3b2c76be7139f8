"""A real server on free ports, with stub functions, in a thread of the test process."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvloop
from sqlalchemy import insert

from luthier.api.server import ApiServer
from luthier.settings import Settings, load
from luthier.store import tokens
from luthier.store.database import Database, now
from luthier.store.migrations import migrate
from luthier.store.tables import apps, users
from luthier.wire.methods import BY_NAME
from tests import sqlite
from tests.api import stub_rpcs
from tests.conftest import free_port

JSON = dict[str, Any]


def settings_for(folder: Path, **more: str) -> Settings:
    ports = {f"LUTHIER_{name}_ADDRESS": f"127.0.0.1:{free_port()}" for name in ("HTTP", "GRPC", "GRPC_TLS")}
    return load({"LUTHIER_DATA_DIR": str(folder), "LUTHIER_DISK_RESERVE_MB": "1", **ports, **more})


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> JSON:
        value: JSON = json.loads(self.body)
        return value

    @property
    def code(self) -> int:
        return int(self.json["status"]["code"])

    @property
    def details(self) -> str:
        return str(self.json["status"]["details"])


@dataclass
class Running:
    """The server under test and the ways to ask it."""

    settings: Settings
    database: Database
    token: str
    user: int
    channels: list[Any] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.settings.http_address.rpartition(":")[2])

    def ask(
        self, verb: str, path: str, body: Any = None, headers: JSON | None = None, token: str | None = ""
    ) -> Answer:
        """`body` is sent as JSON unless it is bytes; token None sends no Authorization, "" the good one."""
        data = body if isinstance(body, bytes | type(None)) else json.dumps(body).encode()
        sent = {} if token is None else {"Authorization": f"Key {token or self.token}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(verb, path, data, {**sent, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes, wait: float = 30.0) -> bytes:
        """What comes back for these bytes until the server closes, or says nothing for `wait` seconds."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            connection.sendall(data)
            return receive_all(connection)

    def call(self, name: str, request: Any = None, metadata: Any = "", *, data: bytes | None = None) -> Any:
        """Over plain gRPC; metadata "" sends the good token."""
        method = BY_NAME[name]
        channel = grpc.insecure_channel(self.settings.grpc_address)
        self.channels.append(channel)
        stub = channel.unary_unary(method.grpc_path, response_deserializer=method.response.FromString)
        sent = [("authorization", f"Key {self.token}")] if metadata == "" else metadata
        return stub((request or method.request()).SerializeToString() if data is None else data, metadata=sent)

    def make_token(self, scopes: list[str], **more: Any) -> tuple[str, str]:
        with self.database.write() as connection:
            return tokens.make(connection, self.user, description="", scopes=scopes, **more)

    def make_app(self, id: str) -> int:
        with self.database.write() as connection:
            row = {"user": self.user, "id": id, "message": b"", "created_at": now(), "modified_at": now()}
            return int(connection.execute(insert(apps).values(row)).inserted_primary_key[0])


def receive_all(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except (TimeoutError, ConnectionResetError):
        pass
    return b"".join(parts)


class Thread:
    """Runs an ApiServer on an event loop of its own until `stop`."""

    def __init__(self, settings: Settings, modules: Any) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.server: ApiServer = self.run(self._make(settings, modules))
        self.run(self.server.start())

    async def _make(self, settings: Settings, modules: Any) -> ApiServer:
        return ApiServer(settings, modules)

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def stop(self) -> None:
        self.run(self.server.stop(2))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)


def running(settings: Settings, modules: Any = (stub_rpcs,)) -> Iterator[Running]:
    if not settings.database_url:
        sqlite.make(settings.database_file)
    database = Database.of(settings)
    migrate(database)
    with database.write() as connection:
        _, token = tokens.first_user(connection) or ("", "")
        user = connection.execute(users.select()).mappings().one()["seq"]
    thread = Thread(settings, modules)
    started = Running(settings, database, token, user)
    yield started
    for channel in started.channels:
        channel.close()
    thread.stop()
    database.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from running(settings_for(tmp_path_factory.mktemp("api")))
