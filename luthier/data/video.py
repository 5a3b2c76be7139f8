"""A video file -> the pictures that are on screen at every multiple of `sample_ms`. Next: `video_helper`, its process.

Animated GIFs are read by Pillow; MP4 and WebM by OpenCV (the extra `video`), whose FFmpeg may open that file alone.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from luthier.data.pillow import to_rgb
from luthier.data.pixels import Pixels
from luthier.data.video_formats import identify_whole
from luthier.errors import InputOverLimit, UnsupportedFormat, VideoDecodeError, shown

MOST_SECONDS = 600
MOST_FRAMES = 1000  # that one video brings
MOST_PIXELS = 16_777_216  # of a frame, 4096x4096
GIF_DEFAULT_MS = 100  # how long browsers show a frame that says 0 or 10 ms
ROUNDING_MS = 0.5  # times come from fractions that are no whole milliseconds
_FFMPEG = "protocol_whitelist;file|format_whitelist;mov,matroska,webm|threads;1"


@dataclass(frozen=True)
class Sampled:
    """`index` counts from 0, `time_ms` is index times sample_ms; `number` is the frame's place in the video.

    `pixels`, uint8 (height, width, 3) RGB, is None where the frame is the one of the sample before.
    """

    index: int
    time_ms: int
    number: int
    pixels: Pixels | None


@dataclass(frozen=True)
class _Shown:
    """A frame on its way from the file; it is on screen until the next one's `from_ms`."""

    number: int
    from_ms: float
    pixels: Pixels


def sampled(path: Path, sample_ms: int) -> Iterator[Sampled]:
    """What is on screen at 0, sample_ms, twice sample_ms … until the end.

    Raises InvalidBytes, UnsupportedFormat (also where OpenCV is not installed), InputOverLimit (over MOST_SECONDS,
    MOST_FRAMES or MOST_PIXELS) and VideoDecodeError, some of them only after frames have come.
    """
    found = identify_whole(path)
    index, before, current = 0, -1, None
    for frame in _of_gif(path, sample_ms) if found == "GIF" else _of_ffmpeg(path, found, sample_ms):
        while current is not None and index * sample_ms < frame.from_ms - ROUNDING_MS:
            if index == MOST_FRAMES:
                raise _too_many(sample_ms, frame.from_ms)
            yield Sampled(
                index, index * sample_ms, current.number, None if current.number == before else current.pixels
            )
            index, before = index + 1, current.number
        current = frame
    if current is None:
        raise VideoDecodeError("not one frame of the video can be decoded")


def _too_many(sample_ms: int, length_ms: float) -> InputOverLimit:
    least = int(length_ms // MOST_FRAMES) + 1
    return InputOverLimit(
        f"the video of at least {length_ms / 1000:.0f} s has more than {MOST_FRAMES} frames at sample_ms {sample_ms}; "
        f"send a sample_ms of {least} or more, or a shorter video"
    )


def _check_length(milliseconds: float, sample_ms: int) -> None:
    if not milliseconds <= MOST_SECONDS * 1000:  # NaN is not
        raise InputOverLimit(
            f"the video is {milliseconds / 1000:.0f} s long; at most {MOST_SECONDS} s are taken: send it in parts"
        )
    if milliseconds > sample_ms * MOST_FRAMES:
        raise _too_many(sample_ms, milliseconds)


def _check_size(width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS:
        raise InputOverLimit(
            f"the video's frames are {width}x{height} pixels; at most {MOST_PIXELS / 1e6:.1f} megapixels are taken"
        )


def _of_gif(path: Path, sample_ms: int) -> Iterator[_Shown]:
    """Every frame, and at last an empty one where the video ends."""
    time, number = 0.0, 0
    try:
        with Image.open(path, formats=["GIF"]) as image:
            _check_size(*image.size)
            while True:
                _check_length(time, sample_ms)
                try:
                    image.seek(number)
                except EOFError:
                    break
                yield _Shown(number, time, np.asarray(to_rgb(image)))
                lasts = float(image.info.get("duration", 0))
                time, number = time + (lasts if lasts > 10 else GIF_DEFAULT_MS), number + 1
    except (InputOverLimit, MemoryError):
        raise
    except Exception as error:  # Pillow raises whatever its parsers stumble over: the file is to blame
        raise VideoDecodeError(f"the GIF is damaged at frame {number}: {shown(str(error))}") from error
    yield _Shown(number, time, _NOTHING)


def _of_ffmpeg(path: Path, found: str, sample_ms: int) -> Iterator[_Shown]:
    """Every frame upright, and at last an empty one where the video ends."""
    cv2 = _opencv(found)
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not video.isOpened():
            raise VideoDecodeError(f"the {found} file is damaged, ends early, or holds no video that is known")
        _check_size(int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        rate, count = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
        interval = 1000 / rate if 1 <= rate <= 1000 else 1000.0
        _check_length(max(0.0, count * interval), sample_ms)  # as the header has it, before any work
        time, number = 0.0, 0
        while video.grab():
            time = max(time, video.get(cv2.CAP_PROP_POS_MSEC))
            _check_length(time + interval, sample_ms)
            whole, pixels = video.retrieve()
            if not whole:
                raise VideoDecodeError(f"frame {number} of the {found} file, at {time:.0f} ms, cannot be decoded")
            _check_size(*pixels.shape[1::-1])
            yield _Shown(number, time, pixels[:, :, ::-1])
            number += 1
    except cv2.error as error:
        raise VideoDecodeError(f"the {found} file cannot be decoded: {shown(str(error).strip())}") from error
    finally:
        video.release()
    if number:
        yield _Shown(number, time + interval, _NOTHING)


_NOTHING: Pixels = np.zeros((0, 0, 3), np.uint8)


def _opencv(found: str) -> Any:
    """cv2, told to be silent and to open files alone."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _FFMPEG
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    os.environ["OPENCV_LOG_LEVEL"] = "OFF"
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise UnsupportedFormat(
            f"videos in {found} are read by OpenCV, which is not installed on this server: "
            "pip install 'luthier[video]'; animated GIFs are read without it"
        ) from error
    except ImportError as error:  # it is there, and has no room
        raise VideoDecodeError(f"OpenCV cannot be loaded to decode the {found} file: {shown(str(error))}") from error
    cv2.setNumThreads(1)
    return cv2
