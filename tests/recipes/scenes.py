"""Scenes for the tests of recipes that learn parts of pictures: drawn objects on gradients, labelled in every way."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from luthier.data.readers.mask_pngs import region_of
from luthier.runs.manifest import Example, Region

CONCEPTS = ("disc", "cross")
WIDTH, HEIGHT = 96, 72
SPLITS = ("train",) * 8 + ("val", "test")

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]


def scene(generator: np.random.Generator) -> tuple[Pixels, list[tuple[str, Mask]]]:
    """A gradient with a disc, a cross or both, in colours that stand out."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = (np.stack([60 + across, 90 + down, 160 - across], -1) % 256).astype(np.uint8)
    shapes = []
    halves = generator.permutation(2)[: generator.integers(1, 3)]
    for half in halves:
        concept = CONCEPTS[int(generator.integers(2))]
        radius = int(generator.integers(12, 18))
        x = int(half * WIDTH / 2 + generator.integers(radius, WIDTH // 2 - radius + 1))
        y = int(generator.integers(radius, HEIGHT - radius))
        if concept == "disc":
            mask: Mask = (across - x) ** 2 + (down - y) ** 2 <= radius**2
        else:
            near = np.maximum(abs(across - x), abs(down - y)) <= radius
            mask = near & ((abs(across - x) <= radius // 3) | (abs(down - y) <= radius // 3))
        pixels[mask] = (240, 230, 40) if concept == "disc" else (20, 20, 30)
        shapes.append((concept, mask))
    return pixels, shapes


def png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def examples(
    folder: Path, count: int, seed: int = 0, splits: Sequence[str] = SPLITS, kind: str = "box", **fields: Any
) -> list[Example]:
    """Scenes as files in `folder`, their objects labelled by `kind`: box or mask."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        pixels, shapes = scene(generator)
        file = folder / f"{seed}-{number}.png"
        file.write_bytes(png(pixels))
        regions = tuple(_region(kind, concept, mask) for concept, mask in shapes)
        split = splits[number % len(splits)]
        found.append(Example(f"scene-{number}", f"{number:064x}", split, path=str(file), regions=regions, **fields))
    return found


def _region(kind: str, concept: str, mask: Mask) -> Region:
    if kind == "mask":
        return region_of(mask, concept)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return Region("box", concept, (left / WIDTH, top / HEIGHT, right / WIDTH, bottom / HEIGHT))
