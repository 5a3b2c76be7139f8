"""Which pictures come out of videos, and what is said of files that are none, damaged or too much."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.data import video as reader
from luthier.data.decode import decode
from luthier.data.video import sampled
from luthier.data.video_formats import identify
from luthier.errors import InputOverLimit, InvalidBytes, LuthierError, UnsupportedFormat, VideoDecodeError
from luthier.runs.frames import read_frame
from tests.data.videos import gif, number_of, video

Save = Callable[[bytes], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def saved(data: bytes) -> Path:
        path = tmp_path / "video"
        path.write_bytes(data)
        return path

    return saved


def grid(path: Path, sample_ms: int) -> list[tuple[int, int]]:
    """(time, number) of each sample; what is in the picture agrees with the number."""
    found, shown = [], -1
    for place, one in enumerate(sampled(path, sample_ms)):
        assert (one.index, one.time_ms) == (place, place * sample_ms)
        if one.pixels is not None:
            assert number_of(one.pixels) == one.number
            shown = one.number
        assert one.number == shown
        found.append((one.time_ms, one.number))
    return found


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_what_is_on_screen_at_every_half_second(save: Save, kind: str) -> None:
    path = save(video(kind))
    assert grid(path, 500) == [(0, 0), (500, 5), (1000, 10), (1500, 15), (2000, 20)]
    assert grid(path, 60_000) == [(0, 0)]


def test_a_gif_shows_each_frame_as_long_as_it_says(save: Save) -> None:
    path = save(gif([300, 1200, 100, 500]))
    assert grid(path, 400) == [(0, 0), (400, 1), (800, 1), (1200, 1), (1600, 3), (2000, 3)]
    assert [one.pixels is None for one in sampled(path, 400)] == [False, False, True, True, False, True]


def test_a_gif_of_one_picture_is_a_video_of_one_frame(save: Save) -> None:
    assert grid(save(gif([0])), 1000) == [(0, 0)]


def test_a_gif_frame_that_names_no_time_lasts_as_in_a_browser(save: Save) -> None:
    assert grid(save(gif([0, 0, 0, 0, 0])), 100) == [(0, 0), (100, 1), (200, 2), (300, 3), (400, 4)]


def test_colours_and_size_are_kept(save: Save) -> None:
    first = next(iter(sampled(save(video("mp4", size=(64, 48))), 1000)))
    assert first.pixels is not None and first.pixels.shape == (48, 64, 3)
    red, green, blue = first.pixels.mean(axis=(0, 1))
    assert red < 10 and abs(green - 60) < 10 and blue > 235


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"", InvalidBytes, "empty"),
        (b"<html>", UnsupportedFormat, "MP4, WebM and animated GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(64), UnsupportedFormat, "MP4, WebM and animated GIF"),
        (b"RIFF\0\0\0\0AVI " + bytes(64), UnsupportedFormat, "MP4, WebM and animated GIF"),
        (b"\0\0\0\x18ftypisom" + bytes(64), VideoDecodeError, "damaged"),
        (b"\x1a\x45\xdf\xa3\x01webm" + bytes(64), VideoDecodeError, "damaged"),
        (b"GIF89a" + bytes(64), VideoDecodeError, "damaged"),
        (b"#EXTM3U\nhttp://127.0.0.1/a.ts", UnsupportedFormat, "no video"),
    ],
)
def test_files_that_are_no_videos(save: Save, data: bytes, kind: type[LuthierError], says: str) -> None:
    with pytest.raises(kind, match=says):
        list(sampled(save(data), 1000))


@pytest.mark.parametrize("kind", ["mp4", "webm"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_video_that_ends_early_is_refused(save: Save, kind: str, share: float) -> None:
    data = video(kind)
    with pytest.raises(VideoDecodeError, match=f"ends early, at byte {int(len(data) * share)} of"):
        list(sampled(save(data[: int(len(data) * share)]), 1000))


def test_junk_behind_a_video_does_no_harm(save: Save) -> None:
    assert len(grid(save(video("mp4") + b"junk that is no box" * 9), 500)) == 5
    assert len(grid(save(video("webm") + b"junk"), 500)) == 5


def test_a_gif_that_ends_early_is_refused(save: Save) -> None:
    data = gif([500] * 10, size=(64, 64))
    with pytest.raises(VideoDecodeError, match="at frame"):
        list(sampled(save(data[:-400]), 500))


def test_a_video_that_is_too_long(save: Save) -> None:
    with pytest.raises(InputOverLimit, match="at most 600 s"):
        list(sampled(save(gif([60_000] * 11)), 1000))


def test_more_frames_than_one_video_may_bring(save: Save) -> None:
    with pytest.raises(InputOverLimit, match="send a sample_ms of 121 or more"):
        list(sampled(save(gif([60_000, 60_000, 1000])), 100))


def test_frames_that_are_too_large(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_PIXELS", 1000)
    with pytest.raises(InputOverLimit, match="64x48 pixels"):
        list(sampled(save(video("mp4", frames=2)), 1000))


def test_without_opencv_the_extra_is_named_and_gifs_are_read(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    data = video("mp4", frames=2)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UnsupportedFormat, match=r"pip install 'luthier\[video\]'"):
        list(sampled(save(data), 1000))
    assert grid(save(gif([500, 500])), 500) == [(0, 0), (500, 1)]


def test_formats_are_told_by_their_content() -> None:
    assert [identify(data[:64]) for data in (video("mp4", 2), video("webm", 2), gif([100]))] == ["MP4", "WEBM", "GIF"]


# -- the process -------------------------------------------------------------------------------------------------------


def helper(path: Path, memory_mb: int = 1536) -> list[tuple[dict[str, Any], list[bytes]]]:
    command = [sys.executable, "-P", "-m", "luthier.data.video_helper", str(path), "--sample-ms", "500"]
    done = subprocess.run([*command, "--memory-mb", str(memory_mb)], capture_output=True, timeout=60)
    out, found = io.BytesIO(done.stdout), []
    while frame := read_frame(out):
        found.append(frame)
    return found


def test_the_helper_writes_pictures_and_an_end(save: Save) -> None:
    *frames, end = helper(save(video("mp4")))
    assert [header["number"] for header, _ in frames] == [0, 5, 10, 15, 20]
    assert [number_of(decode(parts[0])) for _, parts in frames] == [0, 5, 10, 15, 20]
    assert end == ({"end": True}, [])


def test_the_helper_writes_what_is_wrong(save: Save) -> None:
    ((header, _),) = helper(save(b"\0\0\0\x18ftypisom" + bytes(64)))
    assert header["error"] == 31420 and "damaged" in header["details"]


def test_a_video_that_needs_more_memory_than_there_is(save: Save) -> None:
    found = helper(save(video("mp4", frames=3, size=(4000, 4000))), memory_mb=480)
    assert not any("end" in header for header, _ in found), "it was decoded within the limit"
