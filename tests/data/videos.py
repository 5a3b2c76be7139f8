"""Makes small videos, in code: each frame of one colour, which tells its place."""

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image

_CODECS = {"mp4": "mp4v", "webm": "VP80"}


def colour(number: int) -> tuple[int, int, int]:
    """RGB of a frame: red grows, blue falls; of 26 frames, then green changes too."""
    return number % 26 * 10, 60 + number // 26 * 40, 250 - number % 26 * 10


def number_of(pixels: np.ndarray) -> int:
    """Which frame this is, by its colour, which a video's compression changes a little."""
    return round(float(pixels[..., 0].mean()) / 10)


def video(kind: str, frames: int = 25, rate: int = 10, size: tuple[int, int] = (64, 48)) -> bytes:
    """An mp4 or webm of at most 25 frames that can be told apart."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"video.{kind}"
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*_CODECS[kind]), rate, size)
        assert writer.isOpened()
        for number in range(frames):
            writer.write(np.full((size[1], size[0], 3), colour(number)[::-1], np.uint8))
        writer.release()
        return path.read_bytes()


def gif(durations_ms: Sequence[int], size: tuple[int, int] = (16, 12)) -> bytes:
    """An animation whose frames last so long each."""
    frames = [Image.new("RGB", size, colour(number)) for number in range(len(durations_ms))]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=list(durations_ms))
    return buffer.getvalue()
