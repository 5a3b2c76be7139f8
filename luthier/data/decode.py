"""A file's bytes -> upright RGB pixels, or an error that says what is wrong with the file. Next: `jpeg`, `pillow`.

Every picture that is trained on, judged or predicted goes through here, so all see the same pixels. Decoding is
deterministic. Hostile files are decoded by `decode_helper`, whose process has a memory limit.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from luthier.data.exif import orientation, upright
from luthier.data.formats import FORMATS, MAX_PIXELS, check_size, header_size, identify
from luthier.data.jpeg import OddSubsamplingError, decode_jpeg, read_header
from luthier.data.pillow import Opened, open_with_pillow, to_rgb
from luthier.data.pixels import Pixels
from luthier.data.png import check_chunks
from luthier.data.webp import check_length, check_sides
from luthier.errors import ImageDecodeError

__all__ = ["FORMATS", "MAX_PIXELS", "Facts", "decode", "decode_resized", "decode_sized", "examine", "proportional"]


@dataclass(frozen=True)
class Facts:
    """Of a file that decodes; sizes are upright. `animated`: it has more frames than the first, which alone is used."""

    width: int
    height: int
    format: str
    animated: bool


def decode(data: bytes) -> Pixels:
    """uint8 (height, width, 3) RGB, upright, fully decoded, the first frame.

    Raises InvalidBytes (empty), UnsupportedFormat (not one of FORMATS) and ImageDecodeError (damaged, ends early, over
    MAX_PIXELS). Alpha is laid over white; 16 bits become 8 by scaling; `pillow` lists every rule.
    """
    stored = _decode_stored(data)
    pixels = stored.pixels if isinstance(stored.pixels, np.ndarray) else np.asarray(to_rgb(stored.pixels))
    return upright(pixels, stored.turned)


def examine(data: bytes) -> Facts:
    """Decodes in full as `decode` does, raises the same, and tells what the picture is."""
    stored = _decode_stored(data)
    if isinstance(stored.pixels, np.ndarray):
        height, width = stored.pixels.shape[:2]
    else:
        width, height = stored.pixels.size
        to_rgb(stored.pixels.crop((0, 0, 1, 1)))  # one pixel tells whether these colours can be converted
    if stored.turned >= 5:
        width, height = height, width
    return Facts(width, height, stored.format, stored.animated)


def decode_resized(data: bytes, size: int, resize: str = "squash") -> Pixels:
    """uint8 (size, size, 3) RGB, upright, antialiased (bicubic); raises as `decode` does.

    "squash" scales both sides to `size`; "shorter_side" scales the shorter side to `size` and keeps the middle square.
    JPEGs are scaled by 1/2, 1/4 or 1/8 while decoding where that leaves both sides at least `size`.
    """
    if resize not in ("squash", "shorter_side"):
        raise ValueError(f"resize is {resize!r}; give squash or shorter_side")
    stored = _decode_stored(data, smallest_side=size)
    image = to_rgb(stored.pixels) if isinstance(stored.pixels, Image.Image) else Image.fromarray(stored.pixels)
    box = _middle_square(image.width, image.height) if resize == "shorter_side" else None
    small = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return upright(np.asarray(small), stored.turned)


def decode_sized(data: bytes, size: tuple[int, ...], largest_ratio: float = 0.0) -> Pixels:
    """uint8 (height, width, 3) RGB, upright, antialiased (bicubic); raises as `decode` does.

    `size` is width and height, or one number: the shorter side, proportions kept; a picture whose longer side would be
    over `largest_ratio` times that (0: no bound) is made smaller until it is not. No side is under one pixel.
    """
    stored = _decode_stored(data, smallest_side=min(size))
    image = to_rgb(stored.pixels) if isinstance(stored.pixels, Image.Image) else Image.fromarray(stored.pixels)
    wanted = size[::-1] if stored.turned >= 5 else size  # turned pictures lie on their side in the file
    width, height = wanted if len(wanted) == 2 else proportional(image.width, image.height, wanted[0], largest_ratio)
    return upright(np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)), stored.turned)


def proportional(width: int, height: int, shorter: int, largest_ratio: float) -> tuple[int, int]:
    """Width and height with `shorter` as the shorter side, less where the longer would be over largest_ratio times."""
    factor = shorter / min(width, height)
    if largest_ratio:
        factor = min(factor, shorter * largest_ratio / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _middle_square(width: int, height: int) -> tuple[float, float, float, float]:
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


@dataclass(frozen=True)
class _Stored:
    """Pixels as they lie in the file: not yet turned upright, and Pillow's images not yet RGB."""

    pixels: Pixels | Image.Image
    turned: int  # EXIF orientation
    format: str
    animated: bool = False


def _decode_stored(data: bytes, smallest_side: int = 0) -> _Stored:
    image_format = identify(data)
    size = header_size(data, image_format)
    if size is not None:
        check_size(*size)
    try:
        return _DECODERS[image_format](data, image_format, smallest_side)
    except MemoryError as error:
        raise ImageDecodeError("decoding needs more memory than there is") from error


def _jpeg(data: bytes, image_format: str, smallest_side: int) -> _Stored:
    header = read_header(data)
    try:
        pixels: Pixels | Image.Image = decode_jpeg(data, header, smallest_side)
    except OddSubsamplingError:
        pixels = open_with_pillow(header.pixels_only, image_format).image
    return _Stored(pixels, orientation(header.exif), image_format)


def _png(data: bytes, image_format: str, smallest_side: int) -> _Stored:
    png = check_chunks(data)
    opened = open_with_pillow(png.pixels_only, image_format)
    return _Stored(opened.image, orientation(png.exif), image_format, png.animated)


def _webp(data: bytes, image_format: str, smallest_side: int) -> _Stored:
    check_length(data)
    check_sides(*(header_size(data, image_format) or (0, 0)))
    return _other(data, image_format, smallest_side)


def _tiff(data: bytes, image_format: str, smallest_side: int) -> _Stored:
    opened = open_with_pillow(data, image_format)  # which turns TIFFs, and only these, upright by itself
    return _Stored(opened.image, 1, image_format, opened.animated)


def _other(data: bytes, image_format: str, smallest_side: int) -> _Stored:
    opened: Opened = open_with_pillow(data, image_format)
    return _Stored(opened.image, orientation(opened.exif), image_format, opened.animated)


_DECODERS = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "TIFF": _tiff, "GIF": _other, "BMP": _other}
