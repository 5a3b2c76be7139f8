"""Small files for the tests of inputs: pictures of every format, and things that are none."""

import io
import struct
import zlib

from PIL import Image


def picture(image_format: str = "PNG", size: tuple[int, int] = (4, 3), colour: int = 0, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (colour % 256, colour // 256, 7)).save(buffer, image_format, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    """A JPEG 40 wide and 20 high as stored."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return picture("JPEG", (40, 20), exif=exif)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG whose header claims a size; hardly any data follow."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def gif_that_claims(width: int, height: int) -> bytes:
    data = bytearray(picture("GIF"))
    struct.pack_into("<HH", data, 6, width, height)
    return bytes(data)


def webp_that_claims(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0" + b"\0" * 4 + size + b"\0" * 8
