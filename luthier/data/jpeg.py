"""JPEG through libjpeg-turbo (simplejpeg), with its scaling in the frequency domain. Next: `decode`, `pillow`.

Stricter than viewers are: a file that ends early or whose data is damaged is refused, never half decoded.
"""

from dataclasses import dataclass

import numpy as np
import simplejpeg

from luthier.data.formats import check_size, ends_early
from luthier.data.pixels import Pixels
from luthier.errors import ImageDecodeError

_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}  # TEM, RST0-7, SOI: markers that stand alone
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0-15: frame headers
_START_OF_SCAN, _END_OF_IMAGE, _APP1, _APP14 = 0xDA, 0xD9, 0xE1, 0xEE
# APP1 to APP13, APP15, comment: EXIF, colour profiles, thumbnails. The decoder never sees them, so that a damaged
# profile does not matter.
_BALLAST = {*range(0xE1, 0xEE), 0xEF, 0xFE}
_DECODER_ERRORS = (ValueError, KeyError, RuntimeError)

# libjpeg warns of these and goes on with grey or garbage in the picture; its other warnings are harmless.
_DAMAGE = ("premature end of data", "bad huffman code", "corrupt data", "too large")


@dataclass(frozen=True)
class Header:
    """What stands before the first scan."""

    width: int
    height: int
    components: int
    exif: bytes
    adobe: bool  # an Adobe marker: CMYK is stored inverted
    pixels_only: bytes  # the file without what does not make pixels


class OddSubsamplingError(Exception):
    """simplejpeg does not know how the colours are subsampled; Pillow may."""


def read_header(data: bytes) -> Header:
    """Raises ImageDecodeError where the file ends or breaks before its picture begins."""
    width = height = components = 0
    exif, adobe, position = b"", False, 2
    kept = [data[:2]]
    while True:
        marker, start, end = _segment(data, position)
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            break
        body = data[start:end]
        if marker in _SIZES and len(body) >= 6:
            height, width, components = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big"), body[5]
        elif marker == _APP1 and not exif and body.startswith(b"Exif\0\0"):
            exif = body
        elif marker == _APP14 and body.startswith(b"Adobe"):
            adobe = True
        if marker not in _BALLAST:
            kept.append(data[position:end])
        position = end
    check_size(width, height)
    return Header(width, height, components, exif, adobe, b"".join([*kept, data[position:]]))


def _segment(data: bytes, position: int) -> tuple[int, int, int]:
    """The next marker from `position` and where its body starts and ends."""
    position = data.find(b"\xff", position)  # stray bytes between segments are skipped, as libjpeg does
    while 0 <= position < len(data) - 1 and data[position + 1] in (0xFF, 0x00):
        position = data.find(b"\xff", position + 1)
    if position < 0 or position + 1 >= len(data):
        raise ends_early(data)
    marker = data[position + 1]
    if marker in _NO_LENGTH or marker == _END_OF_IMAGE:
        return marker, position + 2, position + 2
    if position + 4 > len(data):
        raise ends_early(data)
    end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    if end > len(data):
        raise ends_early(data)
    return marker, position + 4, max(end, position + 4)


def decode_jpeg(data: bytes, header: Header, smallest_side: int = 0) -> Pixels:
    """RGB pixels as stored, not turned; with `smallest_side`, scaled by 1/2 to 1/8 while both sides keep that many.

    Raises ImageDecodeError, and OddSubsamplingError where another decoder should try.
    """
    try:
        _, _, colours, _ = simplejpeg.decode_jpeg_header(header.pixels_only, strict=False)
    except _DECODER_ERRORS as error:
        raise OddSubsamplingError from error
    if colours == "CMYK" or header.components == 4:
        return _rgb_of_cmyk(_turbo(data, header, "CMYK", smallest_side), inverted=header.adobe)
    return _turbo(data, header, "RGB", smallest_side)


def _turbo(data: bytes, header: Header, colours: str, smallest_side: int) -> Pixels:
    try:
        return _scaled(header.pixels_only, colours, smallest_side, strict=True)
    except _DECODER_ERRORS as error:
        reason = str(error)
    if "premature end of jpeg" in reason.lower():
        raise ends_early(data)
    if any(word in reason.lower() for word in _DAMAGE):
        raise ImageDecodeError(f"the JPEG data is damaged: {reason}")
    try:
        return _scaled(header.pixels_only, colours, smallest_side, strict=False)
    except _DECODER_ERRORS as error:
        raise ImageDecodeError(f"the JPEG data is damaged: {error}") from error


def _scaled(data: bytes, colours: str, smallest_side: int, *, strict: bool) -> Pixels:
    # min_factor 2: scaling by 7/8 to 5/8 costs more than it saves.
    factor = 2 if smallest_side else 1
    pixels: Pixels = simplejpeg.decode_jpeg(
        data, colours, min_height=smallest_side, min_width=smallest_side, min_factor=factor, strict=strict
    )
    return pixels


def _rgb_of_cmyk(cmyk: Pixels, *, inverted: bool) -> Pixels:
    """Light is what the coloured ink lets through times what the black ink does; inverted files store light."""
    light = cmyk if inverted else 255 - cmyk
    rgb = np.empty((*cmyk.shape[:2], 3), np.uint8)
    black = light[:, :, 3].astype(np.uint16)
    for channel in range(3):
        rgb[:, :, channel] = (light[:, :, channel] * black + 127) // 255
    return rgb
