"""A mask's run lengths as a PNG of one bit a pixel, and back. Next: `runs/manifest`, which says what the runs are."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image


def png_of_runs(runs: Sequence[int]) -> bytes:
    """`runs`: width, height, then lengths alternating outside and inside, down the columns. White is inside."""
    width, height, *lengths = runs
    values = np.arange(len(lengths)) % 2 == 1
    pixels = np.repeat(values, lengths).reshape(width, height).T
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=False)
    return file.getvalue()
