"""Makes the pictures and the hostile files of these tests, in code."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

Pixels = npt.NDArray[np.uint8]
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def photo(height: int = 48, width: int = 64) -> Pixels:
    """Smooth enough to survive JPEG, different in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), x + y]
    return np.stack(channels, axis=-1).astype(np.uint8)


def jpeg(pixels: Pixels | None = None, quality: int = 95) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(photo() if pixels is None else pixels), quality))


def of_every_format(pixels: Pixels | None = None) -> dict[str, bytes]:
    image = Image.fromarray(photo() if pixels is None else pixels)
    return {
        "JPEG": saved(image, "JPEG", quality=95),
        "PNG": saved(image, "PNG"),
        "GIF": saved(image, "GIF"),
        "WEBP": saved(image, "WEBP", lossless=True),
        "BMP": saved(image, "BMP"),
        "TIFF": saved(image, "TIFF"),
    }


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, color: int = 0) -> bytes:
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))


def flat_png(width: int, height: int, depth: int = 8, color: int = 0) -> bytes:
    """A picture of zeros, made row by row, so that even a huge one takes little memory to make."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = b"\0" * (1 + (width * depth * channels + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    return png_header(width, height, depth, color) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """`png` with one more chunk behind its header."""
    return png[:33] + chunk(kind, body) + png[33:]


def exif(orientation: int, order: str = ">") -> bytes:
    start = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return start + struct.pack(order + "I", 8) + struct.pack(order + "H", 1) + entry + b"\0\0\0\0"


def jpeg_with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]


def jpeg_with_exif(data: bytes, tiff: bytes) -> bytes:
    return jpeg_with_segment(data, 0xE1, b"Exif\0\0" + tiff)


def animated(image_format: str, frames: int = 3) -> bytes:
    """The first frame is red, the others blue."""
    blue = [Image.new("RGB", (12, 10), (0, 0, 255 - n % 200)) for n in range(frames - 1)]
    pictures = [Image.new("RGB", (12, 10), "red"), *blue]
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {}
    return saved(pictures[0], image_format, save_all=True, append_images=pictures[1:], **options)


def endless_gif(frames: int) -> bytes:
    """Many frames that share one tiny body."""
    one = saved(Image.new("P", (4, 4)), "GIF")
    start = one.index(b"\x2c")
    return one[:start] + one[start:-1] * frames + b";"


def tiff(entries: Sequence[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    """A TIFF of one directory; entries are (tag, type, count, value)."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 0) + data
