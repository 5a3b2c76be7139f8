"""Surfaces with and without scratches, for the tests of anomalies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from luthier.data.readers.mask_pngs import region_of
from luthier.runs.manifest import Example

WIDTH, HEIGHT = 96, 72
GOOD, SCRATCH = "good", "scratch"
CONCEPTS = (GOOD, SCRATCH)

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def surface(generator: np.random.Generator) -> Image.Image:
    """Brushed metal: noise that is drawn out sideways, on a grey that differs from picture to picture."""
    noise = generator.normal(0, 60, (HEIGHT, WIDTH))
    drawn_out = (noise + np.roll(noise, 1, 1) + np.roll(noise, 2, 1) + np.roll(noise, 3, 1)) / 4
    grey = drawn_out + generator.uniform(100, 150)
    pixels = np.clip(np.stack([grey, grey * 0.97, grey * 0.9], -1), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.6))


def scratched(generator: np.random.Generator) -> tuple[Image.Image, Mask]:
    """A surface with one slanting bright line, and where that is."""
    image, mask = surface(generator), Image.new("L", (WIDTH, HEIGHT))
    x, y = generator.integers(20, WIDTH - 20), generator.integers(20, HEIGHT - 20)
    angle, reach = generator.uniform(0.6, 2.5), generator.integers(12, 18)
    across, down = reach * np.cos(angle), reach * np.sin(angle)
    line = (x - across, y - down, x + across, y + down)
    ImageDraw.Draw(image).line(line, fill=(235, 235, 230), width=2)
    ImageDraw.Draw(mask).line(line, fill=255, width=2)
    return image, np.asarray(mask) > 0


def good_examples(folder: Path, splits: Sequence[str], seed: int = 0, **labels: int) -> list[Example]:
    generator = np.random.default_rng(seed)
    drawn = [surface(generator) for _ in splits]
    return [
        _example(folder, f"good-{seed}-{n}", split, drawn[n], labels or {GOOD: 1}) for n, split in enumerate(splits)
    ]


def scratched_examples(folder: Path, splits: Sequence[str], seed: int = 0) -> list[Example]:
    generator = np.random.default_rng([seed, 1])
    found = []
    for number, split in enumerate(splits):
        image, mask = scratched(generator)
        regions = (region_of(mask, SCRATCH),)
        name = f"scratch-{seed}-{number}"
        found.append(_example(folder, name, split, image, {SCRATCH: 1}, regions=regions))
    return found


def mvtec(folder: Path, good: int = 20, tested: int = 4) -> Path:
    """As MVTec AD lies on disk."""
    generator = np.random.default_rng(3)
    for place, count in (("train/good", good), ("test/good", tested)):
        (folder / place).mkdir(parents=True)
        for number in range(count):
            surface(generator).save(folder / place / f"{number:03}.png")
    for place in (f"test/{SCRATCH}", f"ground_truth/{SCRATCH}"):
        (folder / place).mkdir(parents=True)
    for number in range(tested):
        image, mask = scratched(generator)
        image.save(folder / "test" / SCRATCH / f"{number:03}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "ground_truth" / SCRATCH / f"{number:03}_mask.png")
    return folder


def _example(folder: Path, name: str, split: str, image: Image.Image, labels: dict[str, int], **more: Any) -> Example:
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"{name}.png")
    return Example(name, "", split, labels, path=str(folder / f"{name}.png"), **more)
