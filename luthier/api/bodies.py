"""The body of a request, read with its size counted while it arrives. Next: `rest`."""

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from luthier.errors import BadRequestFormat, BodyTooLarge, shown

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_GZIP = 31  # zlib's word for the gzip format with the largest window


class ClientGoneError(Exception):
    """The connection ended before the request did: there is nobody to answer."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The whole body, unpacked where it came gzipped; raises BodyTooLarge as soon as it is over `limit` bytes."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    packed = _is_packed(headers.get(b"content-encoding", b"").strip().lower())
    stream = _Gzip() if packed else None
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        part = event.get("body", b"")
        if part and stream:
            part = stream.unpack(part, limit + 1 - size)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        more = event.get("more_body", False)
    if stream:
        stream.end()
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is over {limit / 2**20:g} MiB; send less in one call")


def _is_packed(encoding: bytes) -> bool:
    if encoding not in (b"", b"identity", b"gzip"):
        raise BadRequestFormat(f"Content-Encoding is {shown(encoding.decode('latin-1'))!r}: gzip and identity are read")
    return encoding == b"gzip"


class _Gzip:
    """One member, whole, with nothing behind it (RFC 1952)."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._begun = False

    def unpack(self, data: bytes, room: int) -> bytes:
        if self._stream.eof:
            raise _more()
        self._begun = True
        try:
            part = self._stream.decompress(data, max(room, 1))  # never makes more than what ends the call
        except zlib.error:
            raise BadRequestFormat("the body says gzip and is not") from None
        if self._stream.unused_data:
            raise _more()
        return part

    def end(self) -> None:
        """Raises BadRequestFormat where the stream is cut off; a call without a body may say gzip too."""
        if self._begun and not self._stream.eof:
            raise BadRequestFormat("the gzip body ends early; send it again, whole")


def _more() -> BadRequestFormat:
    return BadRequestFormat("the gzip body goes on behind its end; send one gzip member with nothing behind it")
