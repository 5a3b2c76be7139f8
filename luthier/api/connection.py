"""One HTTP connection with clocks: slow headers, slow bodies and slow readers are closed.

uvicorn's protocol parses; an ASGI application would be asked too late for these. Next: `server`, which calls `check`.
"""

import asyncio
import time
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from luthier.api import access_log
from luthier.api.dispatch import request_id
from luthier.api.http import SAFE_HEADERS, refused
from luthier.errors import BadRequestFormat, LuthierError, RequestTimeout

HEADER_SECONDS = 10.0
HEADER_BYTES = 64 * 1024
GRACE_SECONDS = 20.0  # a body or a reader may stumble this long
WINDOW_SECONDS = 5.0  # afterwards each window has to bring
BYTES_PER_SECOND = 1024


class HeadersTooLarge(BadRequestFormat):
    """Request headers too large"""

    http_status = 431


class Pace:
    """Whether bytes keep coming: BYTES_PER_SECOND over the grace time, then over each window."""

    def __init__(self, now: float, moved: int) -> None:
        self.start, self.seconds, self.moved = now, GRACE_SECONDS, moved

    def too_slow(self, now: float, moved: int) -> bool:
        elapsed = now - self.start
        if elapsed < self.seconds:
            return False
        if moved - self.moved < elapsed * BYTES_PER_SECOND:
            return True
        self.start, self.seconds, self.moved = now, WINDOW_SECONDS, moved
        return False


class CountingTransport:
    """A transport that knows how many bytes it was given to write."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.written = inner, 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self.inner.write(data)

    @property
    def waiting(self) -> int:
        return int(self.inner.get_write_buffer_size())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Connection(HttpToolsProtocol):
    """Call `check` about once a second."""

    def connection_made(self, transport: Any) -> None:
        self.access_log = False  # uvicorn's own would write the query down, and with it what must not be logged
        self.counting = CountingTransport(transport)
        super().connection_made(cast(asyncio.Transport, self.counting))
        self.header_since: float | None = self.loop.time()  # while a request's head is awaited
        self.header_bytes = 0
        self.body_pace: Pace | None = None  # while a request's body is awaited
        self.body_bytes = 0
        self.read_pace: Pace | None = None  # while the client has something to read

    def data_received(self, data: bytes) -> None:
        if self.header_since is None and self.body_pace is None:
            self.header_since = self.loop.time()
        super().data_received(data)
        if self.header_since is not None:
            self.header_bytes += len(data)
            self._check_header_size()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.header_bytes += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._check_header_size():
            return
        self.header_since, self.header_bytes = None, 0
        self.body_bytes, self.body_pace = 0, Pace(self.loop.time(), 0)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.body_pace = None
        super().on_message_complete()

    def _check_header_size(self) -> bool:
        if self.header_bytes <= HEADER_BYTES:
            return False
        self.refuse(HeadersTooLarge(f"path and headers are over {HEADER_BYTES // 1024} KiB"))
        return True

    def send_400_response(self, msg: str) -> None:
        self.refuse(BadRequestFormat("the request is not well-formed HTTP"))

    def refuse(self, error: LuthierError) -> None:
        """Answer from here, where no application was asked yet or it has not begun to answer; then close."""
        if self.transport is None or self.transport.is_closing():
            return
        self.header_since = self.body_pace = None
        req_id = request_id()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_raw_response(error, req_id))
        self.transport.close()
        access_log.line(
            req_id=req_id,
            rpc="-",
            caller="",
            address=str(self.client[0]) if self.client else "",
            transport="rest",
            status=error.http_status,
            code=error.code,
            started=time.perf_counter(),
        )

    def check(self, now: float) -> None:
        """Close the connection where its clock has run out; `now` is the event loop's time."""
        if self.transport is None:
            return
        if self.header_since is not None and now - self.header_since > HEADER_SECONDS:
            self.refuse(RequestTimeout(f"the request's head did not arrive within {HEADER_SECONDS:g} s"))
        elif self.body_pace is not None:
            self._check_body(now, self.body_pace)
        self._check_reader(now)

    def _check_body(self, now: float, pace: Pace) -> None:
        if self.flow.read_paused:
            pace.start, pace.moved = now, self.body_bytes  # we are the slow ones
        elif pace.too_slow(now, self.body_bytes):
            self.refuse(RequestTimeout(f"the body arrives with less than {BYTES_PER_SECOND} bytes a second"))

    def _check_reader(self, now: float) -> None:
        sent = self.counting.written - self.counting.waiting
        if not self.counting.waiting:
            self.read_pace = None
        elif self.read_pace is None:
            self.read_pace = Pace(now, sent)
        elif self.read_pace.too_slow(now, sent):
            self.counting.inner.abort()


def _raw_response(error: LuthierError, req_id: str) -> bytes:
    response = refused(error, req_id)
    headers = [
        *response.headers,
        *SAFE_HEADERS,
        (b"content-length", b"%d" % len(response.body)),
        (b"connection", b"close"),
    ]
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return bytes(STATUS_LINE[response.status] + head + b"\r\n" + response.body)
