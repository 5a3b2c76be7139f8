"""What the API itself looks at in uploaded bytes: format and size, by the header alone. Next: `inputs`.

Nothing is decoded here: a helper process with a memory limit does that later and corrects what the header claimed.
"""

import codecs
import io
import struct
import warnings
from dataclasses import dataclass

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
)

from luthier.errors import ImageDecodeError, InputOverLimit, InvalidBytes, InvalidInput, UnsupportedFormat, shown

FORMATS = "JPEG, PNG, GIF, WebP, BMP, TIFF"
VIDEO_FORMATS = "MP4, WebM, animated GIF"
MAX_PIXELS = 85_000_000
_ORIENTATION = 0x0112
_PICTURES_IN_MP4 = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

# Imported so that Pillow need not look for them, and with them load every plugin it has.
PLUGINS = (BmpImagePlugin, GifImagePlugin, JpegImagePlugin, TiffImagePlugin)
warnings.filterwarnings("ignore", module=r"PIL\.")  # oddities of a file are no news for the server's console


@dataclass(frozen=True)
class Header:
    """What a picture says of itself; width and height in pixels, upright."""

    format: str
    width: int
    height: int


def read_image(data: bytes, max_mb: int) -> Header:
    """Raises InvalidBytes, InputOverLimit, UnsupportedFormat, or ImageDecodeError for a damaged or too large header."""
    if not data:
        raise InvalidBytes("image.base64 is empty (0 bytes)")
    check_bytes(data, max_mb, "the picture")
    found = _format(data)
    width, height = _BY_HAND[found](data) if found in _BY_HAND else _size(data, found)
    if width < 1 or height < 1:
        raise ImageDecodeError(f"the picture is {width}x{height} pixels; it needs at least 1x1")
    if width * height > MAX_PIXELS:
        raise ImageDecodeError(
            f"the picture is {width}x{height} pixels, {width * height / 1e6:.1f} megapixels; "
            f"the most is {MAX_PIXELS // 1_000_000}: make it smaller"
        )
    return Header(found, width, height)


def read_video(data: bytes, max_mb: int) -> None:
    """Raises InvalidBytes, InputOverLimit or UnsupportedFormat: only the first bytes are looked at here."""
    if not data:
        raise InvalidBytes("video.base64 is empty (0 bytes)")
    check_bytes(data, max_mb, "the video")
    is_mp4 = data[4:8] == b"ftyp" and data[8:12] not in _PICTURES_IN_MP4
    is_webm = data.startswith(b"\x1a\x45\xdf\xa3")
    if not (is_mp4 or is_webm or data.startswith((b"GIF87a", b"GIF89a"))):
        raise UnsupportedFormat(f"these {len(data)} bytes are none of {VIDEO_FORMATS}; send one of those")


def read_text(data: bytes, max_mb: int) -> bytes:
    """The text's bytes, without a byte order mark. Raises InvalidBytes, naming the byte that is no UTF-8: nothing is

    guessed; InvalidInput for a text without a visible character, InputOverLimit.
    """
    check_bytes(data, max_mb, "the text")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidBytes(f"the text is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error
    if not text.strip():
        raise InvalidInput("the text is empty or holds nothing but spaces")
    return data


def check_bytes(data: bytes, max_mb: int, what: str) -> None:
    most = max_mb * 1024 * 1024
    if len(data) > most:
        raise InputOverLimit(f"{what} takes {len(data)} bytes; at most {max_mb} MiB ({most} bytes) are taken")


def _format(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for start, name in _STARTS:
        if data.startswith(start):
            return name
    raise UnsupportedFormat(f"these {len(data)} bytes are none of {FORMATS}; send one of those")


def _size(data: bytes, image_format: str) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(data), formats=[image_format]) as image:
            width, height = image.size
            turned = image_format == "JPEG" and _orientation(image) >= 5  # of a TIFF Pillow has turned the size itself
    except Image.DecompressionBombError as error:
        raise ImageDecodeError(
            f"the picture is far over {MAX_PIXELS // 1_000_000} megapixels: make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageDecodeError(f"the {image_format} header is damaged or ends early at byte {len(data)}") from error
    except Exception as error:  # Pillow raises whatever its parsers stumble over: the file is to blame
        raise ImageDecodeError(f"the {image_format} header is damaged: {shown(str(error))}") from error
    return (height, width) if turned else (width, height)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged EXIF says nothing of the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _png_size(data: bytes) -> tuple[int, int]:
    """By hand: uploads are many, and the two numbers stand at a fixed place (PNG specification, 11.2.2)."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise ImageDecodeError(f"the PNG header is damaged or ends early at byte {len(data)}")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    """By hand (RFC 9649): Pillow would make room for the whole picture just to open it."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise ImageDecodeError(f"file ends early at byte {len(data)}")
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", body, 1)[0]
        return 1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)
    width, height = struct.unpack_from("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF


_BY_HAND = {"PNG": _png_size, "WEBP": _webp_size}
