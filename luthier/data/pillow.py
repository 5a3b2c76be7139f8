"""PNG, GIF, WebP, BMP, TIFF and odd JPEGs through Pillow, and any of its pixel modes to RGB. Next: `decode`.

How modes become 8-bit RGB:
    16 bits a channel    the high byte: 65535 -> 255, 32768 -> 128 (scaled, never clipped)
    32-bit integers      stretched from smallest..largest to 0..255; all equal: 0
    floating point       0..1 where all finite values lie there, times 255; else stretched like integers; NaN and
                         infinities become the smallest
    alpha                of any kind (LA, RGBA, palette, transparent colour): laid over white
    1 bit, palette       as shown on a screen
    CMYK                 light let through by the inks: (255 - ink) * (255 - black) / 255
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from luthier.data.formats import MAX_PIXELS, check_size, ends_early
from luthier.errors import ImageDecodeError, shown

Numbers = npt.NDArray[np.int32] | npt.NDArray[np.float32]  # (height, width)

ImageFile.LOAD_TRUNCATED_IMAGES = False

# Imported so that Pillow need not look for them, and with them load every plugin it has.
PLUGINS = (BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)

# A file's oddities are no news for the console; what matters of them is raised.
warnings.filterwarnings("ignore", module=r"PIL\.")

_ROWS = 256  # number images are converted in strips, so that their float copies stay small
_ENDS = ("truncated", "unexpected end", "not enough data", "not enough image data", "eof")
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Opened:
    """A picture with the pixels of its first frame in memory."""

    image: Image.Image
    exif: bytes
    animated: bool


def open_with_pillow(data: bytes, image_format: str) -> Opened:
    """The first frame, fully loaded; raises ImageDecodeError. MemoryError passes through."""
    try:
        image = Image.open(io.BytesIO(data), formats=[image_format])
        check_size(*image.size)
        animated = bool(getattr(image, "is_animated", False))
        exif = image.info.get("exif", b"")
        image.load()
    except (ImageDecodeError, MemoryError):
        raise
    except Exception as error:  # Pillow raises whatever its parsers stumble over: the file is to blame
        raise _blamed(error, data, image_format) from error
    return Opened(image, exif if isinstance(exif, bytes) else b"", animated)


def _blamed(error: Exception, data: bytes, image_format: str) -> ImageDecodeError:
    reason = str(error)
    if isinstance(error, EOFError) or any(word in reason.lower() for word in _ENDS):
        return ends_early(data)
    if isinstance(error, UnidentifiedImageError):
        return ImageDecodeError(f"the {image_format} header is damaged, or the file ends early at byte {len(data)}")
    if isinstance(error, Image.DecompressionBombError):
        return ImageDecodeError(f"the picture is far over {MAX_PIXELS // 1_000_000} megapixels: make it smaller")
    return ImageDecodeError(f"the {image_format} data is damaged: {shown(reason)}")


def to_rgb(image: Image.Image) -> Image.Image:
    """`image` in mode RGB by the rules at the top of this file; raises ImageDecodeError for a mode without one."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _SIXTEEN_BIT:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return _stretched(image).convert("RGB")
    try:
        if image.has_transparency_data:
            return _over_white(image)
        return image.convert("RGB")
    except ValueError as error:
        raise ImageDecodeError(f"colours of mode {image.mode} cannot be converted to RGB") from error


def _over_white(image: Image.Image) -> Image.Image:
    with_alpha = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return white


def _stretched(image: Image.Image) -> Image.Image:
    """8-bit grey of an image of 32-bit integers or floats."""
    numbers: Numbers = np.asarray(image)
    low, high = _range(numbers)
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    grey = np.zeros(numbers.shape, np.uint8)
    if high > low:
        for top in range(0, len(numbers), _ROWS):
            strip = np.nan_to_num(numbers[top : top + _ROWS].astype(np.float64), nan=low, posinf=low, neginf=low)
            grey[top : top + _ROWS] = np.rint((strip - low) * 255.0 / (high - low))
    return Image.fromarray(grey)


def _range(numbers: Numbers) -> tuple[float, float]:
    """Smallest and largest finite number; (0, 0) where there is none."""
    low, high = np.inf, -np.inf
    for top in range(0, len(numbers), _ROWS):
        strip = numbers[top : top + _ROWS]
        finite = strip[np.isfinite(strip)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)
