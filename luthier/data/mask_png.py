"""A mask's run lengths as a PNG of one bit a pixel, and back. Next: `runs/manifest`, which says what the runs are."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from luthier.data.formats import check_size, header_size, identify
from luthier.data.pillow import open_with_pillow
from luthier.data.png import check_chunks
from luthier.errors import ImageDecodeError, InvalidAnnotation

Numbers = npt.NDArray[np.uint8]
MOST_RUNS = 1_000_000  # of one mask; noise has more, and would fill memory


def png_of_runs(runs: Sequence[int]) -> bytes:
    """`runs`: width, height, then lengths alternating outside and inside, down the columns. White is inside."""
    width, height, *lengths = runs
    values = np.arange(len(lengths)) % 2 == 1
    pixels = np.repeat(values, lengths).reshape(width, height).T
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=False)
    return file.getvalue()


def runs_of_png(data: bytes) -> list[int]:
    """The way back; every pixel that is not 0 is inside. Raises InvalidAnnotation and ImageDecodeError."""
    runs = runs_of(numbers_of(data) > 0)
    if len(runs) > MOST_RUNS:
        raise InvalidAnnotation(f"the mask has {len(runs)} changes between outside and inside; at most {MOST_RUNS}")
    return runs


def runs_of(inside: npt.NDArray[np.bool_]) -> list[int]:
    """(H, W) -> width, height, lengths of runs down the columns."""
    height, width = inside.shape
    flat = inside.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate(([0], edges, [flat.size]))
    runs = [int(run) for run in np.diff(bounds)]
    return [width, height, *([0] if flat[0] else []), *runs]


def numbers_of(data: bytes) -> Numbers:
    """uint8 (H, W): a PNG's one channel as it is stored, numbers of a palette too. Raises as `runs_of_png`."""
    if identify(data) != "PNG" or (size := header_size(data, "PNG")) is None:
        raise InvalidAnnotation("the mask is not a PNG")
    check_size(*size)
    try:
        image: Image.Image = open_with_pillow(check_chunks(data).pixels_only, "PNG").image
    except MemoryError as error:
        raise ImageDecodeError("decoding the mask needs more memory than there is") from error
    if image.mode not in ("P", "L", "1"):
        raise InvalidAnnotation(
            f"the mask's colours are {image.mode}; give one channel of 8 bits or fewer, whose values are numbers"
        )
    return np.asarray(image.convert("L") if image.mode == "1" else image, dtype=np.uint8)
