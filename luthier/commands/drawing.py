"""What a model found, drawn on the picture: boxes with names, masks and heat as coloured veils. Next: `predict`."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from luthier.data.decode import decode
from luthier.runs.run import RunConcept

COLOURS = ((230, 60, 50), (40, 120, 220), (40, 160, 70), (240, 160, 20), (150, 70, 190), (20, 170, 180))
VEIL = 0.5  # share of the colour in a mask's pixels


def is_drawable(answer: Mapping[str, Any]) -> bool:
    return "regions" in answer or "heatmap" in answer


def drawn(file: Path, answer: Mapping[str, Any], concepts: Sequence[RunConcept], least: float) -> Image.Image:
    """The upright picture with every region of at least that value, a colour per concept, or under its heatmap.

    Raises as `decode` does.
    """
    pixels = decode(file.read_bytes())
    if "heatmap" in answer:
        pixels = _heated(pixels, answer["heatmap"], least)
    shown = [region for region in answer.get("regions", ()) if region["value"] >= least]
    for region in shown:
        if "mask" in region:
            pixels = _veiled(pixels, region["mask"], _colour(region))
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    width = max(1, round(min(image.size) / 200))
    font = ImageFont.load_default(max(10, min(image.size) / 30))
    for region in reversed(shown):  # the best on top
        if "box" in region:
            left, top, right, bottom = region["box"]
            corner = (left * image.width, top * image.height)
            pen.rectangle((*corner, right * image.width, bottom * image.height), outline=_colour(region), width=width)
            label = f"{concepts[region['concept']].name} {region['value']:.2f}"
            place = pen.textbbox(corner, label, font=font)
            pen.rectangle(place, fill=_colour(region))
            pen.text(corner, label, fill=(255, 255, 255), font=font)
    return image


def save_drawn(
    folder: Path,
    used: set[str],
    file: Path,
    answer: Mapping[str, Any],
    concepts: Sequence[RunConcept],
    least: float,
) -> None:
    """As FOLDER/NAME.png, with a number where NAME is among those `used`; the name is added to them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (f"{file.stem}{suffix}.png" for suffix in ("", *(f"-{number}" for number in range(2, len(used) + 3))))
    name = next(name for name in names if name not in used)
    used.add(name)
    drawn(file, answer, concepts, least).save(folder / name, "PNG")


def _veiled(pixels: Any, mask: str, colour: tuple[int, int, int]) -> Any:
    inside = np.asarray(Image.open(io.BytesIO(base64.b64decode(mask)), formats=["PNG"]).convert("1"))
    mixed = pixels.astype(np.float32)
    mixed[inside] = mixed[inside] * (1 - VEIL) + np.array(colour, dtype=np.float32) * VEIL
    return mixed.astype(np.uint8)


def _heated(pixels: Any, heatmap: str, least: float) -> Any:
    """From yellow at `least` to red at 1, the stronger the hotter; colder places stay as they are."""
    small = Image.open(io.BytesIO(base64.b64decode(heatmap)), formats=["PNG"]).convert("L")
    heat = np.asarray(small.resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BILINEAR), np.float32) / 255
    height = np.clip((heat - least) / max(1 - least, 1e-6), 0, 1)[..., None]
    colour = np.concatenate([np.full_like(height, 235), 200 * (1 - height), np.full_like(height, 30)], 2)
    share = np.where(height > 0, VEIL * (0.4 + 0.6 * height), 0)
    return (pixels * (1 - share) + colour * share).astype(np.uint8)


def _colour(region: dict[str, Any]) -> tuple[int, int, int]:
    return COLOURS[region["concept"] % len(COLOURS)]
