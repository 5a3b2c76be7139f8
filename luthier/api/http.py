"""A request and a response as the REST side passes them on. Next: `rest`."""

import json
from collections.abc import AsyncIterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from luthier.api.auth import Credentials
from luthier.api.bodies import Receive
from luthier.errors import BadRequestFormat, LuthierError

JSON_HEADERS = ((b"content-type", b"application/json"),)
SAFE_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"retry-after"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


@dataclass(eq=False)
class Request:
    scope: MutableMapping[str, Any]
    receive: Receive
    req_id: str = ""

    @property
    def verb(self) -> str:
        return str(self.scope["method"])

    @property
    def raw_path(self) -> bytes:
        return bytes(self.scope["raw_path"])

    @property
    def query(self) -> bytes:
        return bytes(self.scope["query_string"])

    @cached_property
    def headers(self) -> Mapping[bytes, bytes]:
        return dict(self.scope["headers"])

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def address(self) -> str:
        return str(self.scope["client"][0]) if self.scope.get("client") else ""

    @property
    def local_address(self) -> str:
        return str(self.scope["server"][0]) if self.scope.get("server") else ""

    def credentials(self) -> Credentials:
        """Raises BadRequestFormat where two Authorization headers came."""
        if sum(name == b"authorization" for name, _ in self.scope["headers"]) > 1:
            raise BadRequestFormat("two Authorization headers came; send one")
        return Credentials(
            self.header(b"authorization"), self.address, session_token=b"x-clarifai-session-token" in self.headers
        )


@dataclass(eq=False)
class Response:
    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = JSON_HEADERS
    rpc: str = ""  # for the log
    caller: str = ""
    code: int = 0
    stream: AsyncIterator[bytes] | None = field(default=None)  # instead of `body`
    close: bool = False  # the connection is of no further use


def refused(error: LuthierError, req_id: str, retry_after: int | None = None) -> Response:
    """What goes wrong before a call is known has the shape of every other answer."""
    status = {"code": error.code, "description": error.description, "details": error.details, "req_id": req_id}
    headers = JSON_HEADERS + retry_headers(retry_after)
    return Response(error.http_status, json.dumps({"status": status}).encode(), headers, code=error.code)


def retry_headers(seconds: int | None) -> tuple[tuple[bytes, bytes], ...]:
    return () if seconds is None else ((b"retry-after", b"%d" % seconds),)
