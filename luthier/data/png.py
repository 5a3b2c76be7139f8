"""PNG's chunks: checked one by one, and rid of everything that does not make pixels. Next: `pillow`.

Specification: PNG third edition (W3C). Text, colour profiles and animation frames never reach the decoder, so a huge
or compressed comment costs nothing and a damaged profile does not matter.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from luthier.data.formats import ends_early
from luthier.errors import ImageDecodeError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


@dataclass(frozen=True)
class Png:
    pixels_only: bytes  # a PNG file of the same picture, only the chunks that make it
    exif: bytes
    animated: bool


def check_chunks(data: bytes) -> Png:
    """Raises ImageDecodeError where the file ends early or a checksum (CRC) is wrong."""
    kept: list[bytes] = [SIGNATURE]
    exif, animated = b"", False
    for kind, body, whole in _chunks(data):
        if kind in _PIXEL_CHUNKS:
            kept.append(whole)
        elif kind == b"eXIf":
            exif = body
        elif kind == b"acTL":
            animated = True
    return Png(b"".join(kept), exif, animated)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(kind, body, whole chunk) up to IEND; what follows IEND is not part of the picture."""
    position, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            raise ends_early(data)
        kind, body = data[position + 4 : position + 8], data[position + 8 : end - 4]
        if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ImageDecodeError(f"PNG chunk {ascii(kind)[2:-1]} at byte {position} has a wrong checksum (CRC)")
        yield kind, body, data[position:end]
        position = end
