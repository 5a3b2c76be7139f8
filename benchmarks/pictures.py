"""Pictures for measuring how well Luthier learns, rendered here: glyphs of the installed fonts, scratches, photos.

Everything depends on a seed alone. Pictures of training and of judging show different glyphs. Next: `quality`.
"""

import functools
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]  # left, top, right, bottom, pixels

GROUPS: dict[str, tuple[int, int]] = {  # blocks of Unicode whose glyphs look alike
    "arrows": (0x2190, 0x21FF),
    "mathematics": (0x2200, 0x22FF),
    "shapes": (0x25A0, 0x25FF),
    "symbols": (0x2600, 0x267F),
    "dingbats": (0x2701, 0x27BF),
    "letters": (0x0410, 0x044F),
    "boxes": (0x2550, 0x259F),
    "braille": (0x2840, 0x28FF),
}
TINT = (1.0, 0.97, 0.92)  # of textures and scratches, so that colour tells nothing
SCENE_CONCEPTS = ("symbols", "letters", "arrows")
SHAPES = {"disc": ("●",), "triangle": ("▲",), "star": ("★",)}  # drawn as glyphs are


@dataclass(frozen=True)
class Scene:
    """A picture of up to four objects; `masks` are theirs, boolean (H, W) each."""

    pixels: Pixels
    concepts: tuple[str, ...]
    boxes: tuple[Box, ...]
    masks: tuple[npt.NDArray[np.bool_], ...]


@functools.cache
def fonts() -> tuple[str, ...]:
    """Paths of the installed fonts that have glyphs of all groups, the plain weights first."""
    listed = subprocess.run(["fc-list", ":", "file"], capture_output=True, text=True, check=False).stdout
    files = sorted(line.split(":")[0].strip() for line in listed.splitlines() if "DejaVuSans" in line)
    wide = [file for file in files if "Mono" not in file and "Light" not in file]
    if not wide:
        raise SystemExit("no DejaVu Sans is installed; on Debian: apt install fonts-dejavu-core fontconfig")
    return tuple(wide)


@functools.cache
def glyphs(group: str, unseen: bool) -> tuple[str, ...]:
    """Characters of a group that the font draws; every fourth one is for judging only. A shape is always the same."""
    if group in SHAPES:
        return SHAPES[group]
    first, last = GROUPS[group]
    font = ImageFont.truetype(fonts()[0], 32)
    blank = font.getmask("\uffff").getbbox(), bytes(font.getmask("\uffff"))
    drawn = []
    for code in range(first, last + 1):
        mask = font.getmask(chr(code))
        if mask.getbbox() and (mask.getbbox(), bytes(mask)) != blank:
            drawn.append(chr(code))
    return tuple(one for place, one in enumerate(drawn) if (place % 4 == 3) == unseen)


def gradient(width: int, height: int, generator: np.random.Generator) -> Pixels:
    """From one random colour to another, in a random direction, with a little noise."""
    first, second = generator.integers(0, 256, (2, 3))
    angle = generator.random() * 2 * np.pi
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    share = ((x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2) + 1) / 2
    colours = first * (1 - share[..., None]) + second * share[..., None]
    noisy: Pixels = np.clip(colours + generator.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)
    return noisy


def stamp(
    pixels: Pixels, glyph: str, side: int, left: int, top: int, generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Draws a glyph in two colours, turned a little, as high as `side`; returns where its pixels are, (H, W)."""
    font = ImageFont.truetype(fonts()[int(generator.integers(len(fonts())))], side)
    layer = Image.new("L", (2 * side, 2 * side))
    ImageDraw.Draw(layer).text((side, side), glyph, fill=255, font=font, anchor="mm")
    layer = layer.rotate(float(generator.uniform(-20, 20)), Image.Resampling.BICUBIC)
    ink = layer.crop(layer.getbbox())
    scale = side / max(ink.size)
    ink = ink.resize((max(1, round(ink.width * scale)), max(1, round(ink.height * scale))), Image.Resampling.BICUBIC)
    cover = np.asarray(ink, dtype=np.float32)[..., None] / 255
    height, width = cover.shape[:2]
    height, width = min(height, pixels.shape[0] - top), min(width, pixels.shape[1] - left)
    cover = cover[:height, :width]
    area = pixels[top : top + height, left : left + width]
    shade = area.reshape(-1, 3).mean(0)
    colours = generator.integers(0, 256, (2, 3)).astype(np.float32)
    while np.abs(colours.mean(0) - shade).mean() < 50:
        colours = generator.integers(0, 256, (2, 3)).astype(np.float32)
    down = np.linspace(0, 1, height)[:, None, None]
    paint = colours[0] * (1 - down) + colours[1] * down
    area[:] = (area * (1 - cover) + paint * cover).astype(np.uint8)
    inside = np.zeros(pixels.shape[:2], dtype=bool)
    inside[top : top + height, left : left + width] = cover[..., 0] > 0.5
    return inside


def box_of(mask: npt.NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def scene(
    generator: np.random.Generator, *, unseen: bool, width: int = 320, height: int = 240,
    concepts: Sequence[str] = SCENE_CONCEPTS, background: Pixels | None = None,
) -> Scene:  # fmt: skip
    """One to four objects, each in a quarter of its own so that none hides another."""
    pixels = gradient(width, height, generator) if background is None else background.copy()
    quarters = generator.permutation(4)[: generator.integers(1, 5)]
    named, masks = [], []
    for quarter in quarters:
        concept = concepts[int(generator.integers(len(concepts)))]
        choice = glyphs(concept, unseen)
        side = int(generator.integers(height // 8, int(height * 0.42)))
        left = int(quarter % 2 * width / 2 + generator.random() * (width / 2 - side))
        top = int(quarter // 2 * height / 2 + generator.random() * (height / 2 - side))
        mask = stamp(pixels, choice[int(generator.integers(len(choice)))], side, left, top, generator)
        if mask.any():
            named.append(concept)
            masks.append(mask)
    return Scene(pixels, tuple(named), tuple(box_of(mask) for mask in masks), tuple(masks))


def scenes(count: int, seed: int, *, unseen: bool) -> list[Scene]:
    generator = np.random.default_rng([seed, int(unseen)])
    return [scene(generator, unseen=unseen) for _ in range(count)]


def texture(name: str, generator: np.random.Generator, *, unseen: bool, side: int = 256) -> Pixels:
    """A square of a photographed texture of scikit-image in a random light; unseen ones come from its right side."""
    import skimage.data

    whole = np.asarray(getattr(skimage.data, name)())
    first, last = (288, whole.shape[1] - 224) if unseen else (0, 64)
    left, top = int(generator.integers(first, last + 1)), int(generator.integers(0, whole.shape[0] - 224 + 1))
    cut = Image.fromarray(whole[top : top + 224, left : left + 224]).resize((side, side), Image.Resampling.BICUBIC)
    light = np.asarray(cut, dtype=np.float32)[..., None] * generator.uniform(0.9, 1.1) + generator.uniform(-8, 8)
    lit: Pixels = np.clip(light * np.array(TINT), 0, 255).astype(np.uint8)
    return lit


def over_photos(count: int, seed: int, *, unseen: bool) -> list[Scene]:
    """Scenes of shapes on random cut-outs of scikit-image's and scikit-learn's photos; unseen ones on others."""
    import skimage.data
    from sklearn.datasets import load_sample_image

    names = ("astronaut", "chelsea") if unseen else ("coffee", "rocket", "immunohistochemistry", "hubble_deep_field")
    photos = [np.asarray(getattr(skimage.data, name)())[..., :3] for name in names]
    photos.append(load_sample_image("flower.jpg" if unseen else "china.jpg"))
    generator = np.random.default_rng([seed, int(unseen), 1])
    found = []
    for number in range(count):
        photo = photos[number % len(photos)]
        top, left = (int(generator.integers(0, photo.shape[axis] - 200)) for axis in (0, 1))
        cut = Image.fromarray(photo[top : top + 200, left : left + 200]).resize((320, 240))
        found.append(scene(generator, unseen=unseen, concepts=tuple(SHAPES), background=np.array(cut)))
    return found


def coins_and_mask() -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """scikit-image's photo of coins, (H, W), and where coins are: a watershed from what is surely dark or bright."""
    import skimage.data
    from scipy.ndimage import binary_fill_holes
    from skimage.filters import sobel
    from skimage.segmentation import watershed

    photo = np.asarray(skimage.data.coins())
    sure = np.select([photo < 30, photo > 150], [1, 2], 0)
    return photo, np.asarray(binary_fill_holes(watershed(sobel(photo), sure) == 2))


def scratch(pixels: Pixels, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draws one to three bent bright lines of one to three pixels; where they are, (H, W)."""
    image, mask = Image.fromarray(pixels), Image.new("L", pixels.shape[1::-1])
    for _ in range(int(generator.integers(1, 4))):
        angle, place = generator.uniform(0, np.pi), generator.uniform(0.2, 0.8, 2) * pixels.shape[1::-1]
        points = [(float(place[0]), float(place[1]))]
        for _ in range(int(generator.integers(3, 8))):
            angle += generator.normal(0, 0.25)
            x, y = points[-1]
            points.append((x + 10 * float(np.cos(angle)), y + 10 * float(np.sin(angle))))
        shade = int(generator.integers(225, 256))
        width = int(generator.integers(1, 4))
        colour = tuple(int(shade * share) for share in TINT)
        for drawing, fill in ((ImageDraw.Draw(image), colour), (ImageDraw.Draw(mask), 255)):
            drawing.line(points, fill=fill, width=width)
    pixels[:] = np.asarray(image)
    inside: npt.NDArray[np.bool_] = np.asarray(mask) > 0
    return inside


def save(pixels: Pixels, file: Path) -> None:
    Image.fromarray(pixels).save(file)
