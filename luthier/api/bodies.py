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
    unpack = _unpacker(headers.get(b"content-encoding", b"").strip().lower(), limit)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        part = event.get("body", b"")
        if part and unpack:
            part = unpack(part, limit + 1 - size)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        more = event.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is over {limit / 2**20:g} MiB; send less in one call")


def _unpacker(encoding: bytes, limit: int) -> Callable[[bytes, int], bytes] | None:
    if encoding in (b"", b"identity"):
        return None
    if encoding != b"gzip":
        raise BadRequestFormat(f"Content-Encoding is {shown(encoding.decode('latin-1'))!r}: gzip and identity are read")
    stream = zlib.decompressobj(_GZIP)

    def unpack(data: bytes, room: int) -> bytes:
        try:
            return stream.decompress(data, max(room, 1))  # never makes more than what ends the call
        except zlib.error:
            raise BadRequestFormat("the body says gzip and is not") from None

    return unpack
