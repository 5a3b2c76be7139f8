"""Masks: pictures that say of every pixel whether it belongs to a region. Kept as blobs. Next: `regions`.

A mask is a PNG of one channel, 8 bits or fewer, with or without a palette, as large as the upright picture. Pixels
that are 0 are outside, all others inside. Nothing is decoded here: chunks and their checksums are looked at, and
freezing a dataset version decodes, in a process with limits.

In a stored message the mask's `image.url` holds the SHA-256 of the PNG, and its `image_info` the size.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import InvalidAnnotation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 85_000_000
MOST_BYTES = 20 * 1024 * 1024  # of one PNG
_GREY, _PALETTE = 0, 3


def copy(sent: resources_pb2.Mask, kept: resources_pb2.Mask, where: str) -> bytes:
    """Fills `kept` with what is stored of a mask and returns its PNG; raises InvalidAnnotation."""
    data: bytes = sent.image.base64
    if not data:
        raise InvalidAnnotation(f"{where}.image.base64 is empty; send the bytes of a PNG, a mask is not fetched")
    if len(data) > MOST_BYTES:
        raise InvalidAnnotation(f"{where} takes {len(data)} bytes; at most {MOST_BYTES} are taken")
    width, height = _size(data, where)
    kept.image.url = hashlib.sha256(data).hexdigest()
    info = kept.image.image_info
    info.width, info.height, info.format = width, height, "PNG"
    return data


def check_size(mask: resources_pb2.Mask, size: tuple[int, int], where: str) -> None:
    """Raises InvalidAnnotation where the picture's size is known and another one."""
    info = mask.image.image_info
    if any(size) and (info.width, info.height) != size:
        raise InvalidAnnotation(
            f"{where} is {info.width}x{info.height} pixels, the upright picture {size[0]}x{size[1]}; "
            "a mask has a pixel for each of the picture's"
        )


def blob_of(mask: resources_pb2.Mask) -> str:
    """SHA-256 of a stored mask's PNG; "" where there is no mask."""
    return str(mask.image.url)


def show(regions: Iterable[resources_pb2.Region], read: Callable[[str], bytes], address: Callable[[str], str]) -> None:
    """Puts address and bytes where stored messages hold hashes."""
    for region in regions:
        if region.region_info.HasField("mask"):
            image = region.region_info.mask.image
            blob, image.url = image.url, address(image.url)
            image.base64 = read(blob)


def _size(data: bytes, where: str) -> tuple[int, int]:
    """Width and height of a PNG that is whole and of one channel."""
    kinds: list[bytes] = []
    header = b""
    for kind, body in _chunks(data, where):
        header = header or body
        kinds.append(kind)
    if kinds[0] != b"IHDR" or len(header) != 13 or b"IDAT" not in kinds:
        raise InvalidAnnotation(f"{where} is no whole PNG: its header or its pixels are missing")
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colours = header[8], header[9]
    if colours not in (_GREY, _PALETTE) or depth not in (1, 2, 4, 8) or (colours == _PALETTE and b"PLTE" not in kinds):
        raise InvalidAnnotation(
            f"{where} has {depth} bits a channel and PNG colour type {colours}; give one channel, grey or a palette, "
            "of 8 bits or fewer: 0 is outside, every other value inside"
        )
    if not 1 <= width * height <= MAX_PIXELS:
        raise InvalidAnnotation(f"{where} is {width}x{height} pixels; it must have 1 to {MAX_PIXELS}")
    return width, height


def _chunks(data: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) up to IEND, checksums checked (PNG specification, 5.3)."""
    if not data.startswith(SIGNATURE):
        raise InvalidAnnotation(f"{where} is not a PNG; masks of other formats are not taken")
    view, position, kind = memoryview(data), len(SIGNATURE), b""
    while kind != b"IEND":
        end = position + 12 + int.from_bytes(view[position : position + 4], "big")
        if end > len(data):
            raise InvalidAnnotation(f"{where}: the PNG ends early at byte {len(data)}")
        kind = bytes(view[position + 4 : position + 8])
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise InvalidAnnotation(f"{where}: PNG chunk {ascii(kind)[2:-1]} at byte {position} has a wrong checksum")
        yield kind, bytes(view[position + 8 : min(end - 4, position + 8 + 64)])
        position = end
