"""scikit-learn's 1,797 handwritten digits as PNG files: real pictures that need no download."""

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

HELD_OUT_PER_DIGIT = 2
BRIGHTEST = 16.0  # the data set's grey values are 0 to 16


@dataclass(frozen=True)
class Digit:
    id: str  # "digit-0042"
    label: str  # "0" to "9"
    path: Path


def write(folder: Path) -> list[Digit]:
    """Writes one PNG file per digit, in one sub-folder per class, as a user's own folder would look."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return [
        _write_one(folder, number, str(label), pixels)
        for number, (label, pixels) in enumerate(zip(data.target, data.images, strict=True))
    ]


def _write_one(folder: Path, number: int, label: str, pixels: np.ndarray) -> Digit:
    path = folder / label / f"digit-{number:04}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray((pixels * (255 / BRIGHTEST)).round().astype(np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    return Digit(path.stem, label, path)


def hold_out(digits: Sequence[Digit], per_digit: int = HELD_OUT_PER_DIGIT) -> tuple[list[Digit], list[Digit]]:
    """(digits to upload, digits that the server never sees before it predicts them): the last ones of each class."""
    by_label: dict[str, list[Digit]] = defaultdict(list)
    for digit in digits:
        by_label[digit.label].append(digit)
    unseen = {digit.id for group in by_label.values() for digit in group[-per_digit:]}
    return [d for d in digits if d.id not in unseen], [d for d in digits if d.id in unseen]
