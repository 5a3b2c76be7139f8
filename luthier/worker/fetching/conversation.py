"""One question and its answer over one connected socket, within limits of time and inflated bytes. Next: `fetcher`.

h11 speaks HTTP/1.1 (RFC 9112) and does no input or output itself, so every wait here is ours to bound.
"""

import socket
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import h11

from luthier import __version__
from luthier.errors import DownloadFailed, DownloadTooLarge, shown
from luthier.store.urls import Url

POLL_SECONDS = 0.25  # between looks whether the work is still wanted
CHUNK = 1 << 16
GZIP_OR_ZLIB = 47  # zlib's word for "by the header", RFC 1950 and 1952


@dataclass(frozen=True)
class Answer:
    """`body` is inflated, and empty unless the status is 200."""

    status: int
    location: str
    body: bytes = b""


@dataclass(frozen=True)
class Clock:
    """When all must be over (monotonic seconds), and who may stop it before."""

    end: float
    check: Callable[[], None]


def get(connection: socket.socket, url: Url, clock: Clock, first_byte_seconds: float, most_bytes: int) -> Answer:
    """Raises DownloadFailed, DownloadTooLarge, OSError, h11.RemoteProtocolError, and what the clock's check raises."""
    talk = _Talk(connection, clock, first_byte_seconds)
    talk.ask(url)
    response = talk.response()
    headers = [
        (bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")) for name, value in response.headers
    ]
    location = next((value for name, value in headers if name == "location"), "")
    if response.status_code != 200:
        return Answer(response.status_code, location)
    body = _Body(headers, most_bytes)
    while (piece := talk.piece()) is not None:
        body.add(piece)
    return Answer(200, location, body.whole())


class _Talk:
    def __init__(self, connection: socket.socket, clock: Clock, first_byte_seconds: float) -> None:
        self._socket = connection
        self._clock = clock
        self._http = h11.Connection(h11.CLIENT)
        self._first_byte_seconds = first_byte_seconds
        self._first_until: float | None = None  # None once it has come

    def ask(self, url: Url) -> None:
        headers = [
            ("Host", url.authority),
            ("User-Agent", f"luthier/{__version__}"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
        ]
        question = self._http.send(h11.Request(method="GET", target=url.target, headers=headers))
        self._first_until = time.monotonic() + self._first_byte_seconds
        self._socket.settimeout(max(0.01, min(self._first_until, self._clock.end) - time.monotonic()))
        self._socket.sendall((question or b"") + (self._http.send(h11.EndOfMessage()) or b""))

    def response(self) -> h11.Response:
        while True:
            event = self._event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise DownloadFailed("the server closed the connection without an answer")

    def piece(self) -> bytes | None:
        """The next bytes of the body as they were sent, None at its end."""
        event = self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    def _event(self) -> h11.Event | None:
        """None where the server wants to speak something else than HTTP from here on."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self._receive())
        return event if isinstance(event, h11.Event) else None

    def _receive(self) -> bytes:
        while True:
            self._clock.check()
            now = time.monotonic()
            until = min(self._clock.end, self._first_until or self._clock.end)
            if now >= until:
                raise DownloadFailed(self._late())
            self._socket.settimeout(min(POLL_SECONDS, until - now))
            try:
                data = self._socket.recv(CHUNK)
            except TimeoutError:
                continue
            self._first_until = None
            return data

    def _late(self) -> str:
        if self._first_until is not None:
            return f"the server gave no answer within {self._first_byte_seconds:.0f} s"
        return "the download took too long and was given up"


class _Body:
    """Collects a body; what counts against the limit is what it inflates to."""

    def __init__(self, headers: Iterable[tuple[str, str]], most_bytes: int) -> None:
        self._most = most_bytes
        self._data = bytearray()
        self._inflate = None
        for name, value in headers:
            if name == "content-length" and value.isdigit() and int(value) > most_bytes:
                raise self._too_large()
            if name == "content-encoding" and value.strip().lower() not in ("", "identity"):
                self._inflate = _inflater(value.strip().lower(), self._inflate is not None)

    def add(self, piece: bytes) -> None:
        if self._inflate is None:
            self._data += piece
        else:
            self._add_inflated(piece, self._inflate)
        if len(self._data) > self._most:
            raise self._too_large()

    def _add_inflated(self, piece: bytes, inflate: "zlib._Decompress") -> None:
        try:
            self._data += inflate.decompress(piece, self._most + 1 - len(self._data))
        except zlib.error as error:
            raise DownloadFailed(f"the compressed body is damaged: {error}") from error
        if inflate.unused_data:
            raise DownloadFailed("more bytes follow the end of the compressed body")

    def whole(self) -> bytes:
        if self._inflate and not self._inflate.eof:
            raise DownloadFailed("the compressed body ends early")
        return bytes(self._data)

    def _too_large(self) -> DownloadTooLarge:
        return DownloadTooLarge(f"it is larger than {self._most // (1024 * 1024)} MiB ({self._most} bytes)")


def _inflater(encoding: str, twice: bool) -> "zlib._Decompress":
    if encoding not in ("gzip", "x-gzip", "deflate") or twice:
        raise DownloadFailed(f"the server compresses with {shown(encoding)!r}, though it was asked not to")
    return zlib.decompressobj(GZIP_OR_ZLIB)
