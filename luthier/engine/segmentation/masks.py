"""Labelled regions as a picture of classes, and back to a PNG per concept. Next: `runs/manifest`."""

import base64
import io
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from luthier.runs.manifest import Region

Array = np.ndarray[Any, Any]
DRAWN = ("polygon", "mask")  # kinds of region that say which pixels belong to an object


def classes_of(regions: Iterable[Region], places: Mapping[str, int], width: int, height: int) -> Array:
    """uint8 (height, width): 0 where nothing is labelled, else 1 + the place of the concept; the last one wins."""
    canvas = Image.new("L", (width, height))
    for region in regions:
        if region.concept not in places or region.kind not in DRAWN:
            continue
        number = places[region.concept] + 1
        if region.kind == "polygon":
            corners = zip(region.points[::2], region.points[1::2], strict=True)
            points = [(x * width - 0.5, y * height - 0.5) for x, y in corners]
            ImageDraw.Draw(canvas).polygon(points, fill=number)
        else:
            inside = Image.fromarray(pixels_of(region.runs).astype(np.uint8) * 255)
            canvas.paste(number, mask=inside.resize((width, height), Image.Resampling.NEAREST))
    return np.array(canvas)


def pixels_of(runs: tuple[int, ...]) -> Array:
    """Booleans (height, width) of run lengths down the columns."""
    width, height, *lengths = runs
    flat = np.zeros(width * height, dtype=bool)
    ends = np.cumsum([0, *lengths])
    for number, (start, end) in enumerate(pairwise(ends.tolist())):
        if number % 2:
            flat[start:end] = True
    return flat.reshape(width, height).T


def png_of(inside: Array, width: int, height: int) -> str:
    """A PNG of one bit a pixel, `width` x `height`, in base64: white where `inside`."""
    image = Image.fromarray(inside.astype(np.uint8) * 255).resize((width, height), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.convert("1").save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
