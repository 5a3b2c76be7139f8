"""Which picture format some bytes are, and how large the picture is by its header alone. Next: `decode`.

The content decides, never a file's name. Only the six formats of FORMATS are ever handed to a decoder.
"""

import struct
from collections.abc import Callable

from luthier.errors import ImageDecodeError, InvalidBytes, UnsupportedFormat

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
READABLE = "JPEG, PNG, GIF, WebP, BMP and TIFF are read"
MAX_PIXELS = 85_000_000

_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# What people send by mistake, so that the answer can name it.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "PostScript (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (b"\x01\0\x09\0", "a Windows metafile (WMF)"),
    (b"\x01\0\0\0", "a Windows metafile (EMF)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE file (FlashPix or Office)"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x0a", "a PCX picture"),
)


def identify(data: bytes) -> str:
    """One of FORMATS. Raises InvalidBytes for an empty file and UnsupportedFormat for anything else."""
    if not data:
        raise InvalidBytes("the file is empty (0 bytes)")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(_TIFF_STARTS):
        return "TIFF"
    if data[:2] == b"BM" and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADER_SIZES:
        return "BMP"
    raise UnsupportedFormat(f"this is {_named(data)}; {READABLE}")


def _named(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return "HEIC, AVIF or a video" if data[8:12] not in (b"avif", b"avis") else "AVIF"
    if b"<svg" in data[:4096].lower():
        return "an SVG drawing"
    for start, name in _OTHERS:
        if data.startswith(start):
            return name
    return f"no picture format that is known (the file has {len(data)} bytes)"


def check_size(width: int, height: int) -> None:
    """Raises ImageDecodeError unless there is at least one pixel and at most MAX_PIXELS."""
    if width < 1 or height < 1:
        raise ImageDecodeError(f"the picture is {width}x{height} pixels; it needs at least 1x1")
    if width * height > MAX_PIXELS:
        raise ImageDecodeError(
            f"the picture is {width}x{height} pixels, {width * height / 1e6:.1f} megapixels; "
            f"the most is {MAX_PIXELS // 1_000_000}: make it smaller"
        )


def ends_early(data: bytes) -> ImageDecodeError:
    return ImageDecodeError(f"file ends early at byte {len(data)}")


def header_size(data: bytes, image_format: str) -> tuple[int, int] | None:
    """(width, height) where the header tells it at a fixed place: PNG, GIF, WebP, BMP; else None.

    Raises ImageDecodeError where the file ends before its size.
    """
    reader = _SIZES.get(image_format)
    try:
        return reader(data) if reader else None
    except (struct.error, IndexError) as error:
        raise ends_early(data) from error


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)  # a negative height means that rows run downwards


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(_bytes(data, 24, 3), "little"), 1 + int.from_bytes(_bytes(data, 27, 3), "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _bytes(data: bytes, start: int, count: int) -> bytes:
    if len(data) < start + count:
        raise IndexError(start)
    return data[start : start + count]


_SIZES: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "PNG": _png_size,
    "GIF": _gif_size,
    "WEBP": _webp_size,
    "BMP": _bmp_size,
}
