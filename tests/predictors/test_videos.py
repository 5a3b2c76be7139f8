"""What a video sent to the predictors brings: an answer for each frame, or an error of its own."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from luthier.predictors import videos
from tests.data.videos import gif, video
from tests.predictors.processes import Predictors, is_alive, pids

MakeRun = Callable[..., Path]
BEST = "checkpoints/best"


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Callable[..., Predictors]]:
    started: list[Predictors] = []

    def start(**settings: object) -> Predictors:
        started.append(Predictors(tmp_path / f"data{len(started)}", **settings))
        return started[-1]

    yield start
    for server in started:
        server.end()


def test_the_model_is_asked_about_each_frame(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a", answer=7)
    options = {"sample_ms": 500, "seed": 3}
    (answer,) = predictors.client.predict(run, BEST, "video", [video("mp4")], options=options)
    frames = answer["frames"]
    assert [(one["index"], one["time_ms"], one["number"]) for one in frames] == [
        (0, 0, 0), (1, 500, 5), (2, 1000, 10), (3, 1500, 15), (4, 2000, 20),
    ]  # fmt: skip
    assert all(one["values"][0] == 7.0 and one["options"] == {"seed": 3} for one in frames)
    assert (run / "batches").read_text().split() == ["5"]


def test_a_still_picture_is_asked_about_once(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a")
    (answer,) = predictors.client.predict(run, BEST, "video", [gif([5000, 100])])
    assert [one["number"] for one in answer["frames"]] == [0, 0, 0, 0, 0, 1]
    assert (run / "batches").read_text().split() == ["2"]


def test_many_frames_go_in_several_batches(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a")
    (answer,) = predictors.client.predict(run, BEST, "video", [gif([100] * 70)], options={"sample_ms": 100})
    assert [one["number"] for one in answer["frames"]] == list(range(70))
    assert (run / "batches").read_text().split() == ["32", "32", "6"]


def test_a_bad_video_among_good_ones_gets_its_own_error(predictors: Predictors, make_run: MakeRun) -> None:
    films = [gif([100]), b"\0\0\0\x18ftypisom" + bytes(64), gif([100])]
    good, bad, also_good = predictors.client.predict(make_run("a"), BEST, "video", films)
    assert bad["error"] == 31420 and "damaged" in bad["details"]
    assert len(good["frames"]) == len(also_good["frames"]) == 1
    assert not list(Path(tempfile.gettempdir()).glob("luthier-video-*")), "files of videos were left behind"


def test_a_video_that_takes_too_long_is_given_up(limited: Callable[..., Predictors], make_run: MakeRun) -> None:
    server, run = limited(video_seconds=3.0), make_run("slow", seconds=5)
    (answer,) = server.client.predict(run, BEST, "video", [gif([100] * 40)], options={"sample_ms": 100})
    assert answer["error"] == 30105 and "larger sample_ms than 100" in answer["details"]


def test_a_decoder_that_dies_takes_nothing_with_it(limited: Callable[..., Predictors], make_run: MakeRun) -> None:
    server, run = limited(decode_memory_mb=100), make_run("a")
    (answer,) = server.client.predict(run, BEST, "video", [video("mp4", frames=3, size=(2000, 2000))])
    assert answer["error"] == 31420
    server.client.predict(run, BEST, "image", [b"x"])
    assert is_alive(pids(run)[0])


def test_videos_and_pictures_at_the_same_time(predictors: Predictors, make_run: MakeRun) -> None:
    run, data = make_run("a", answer=1), gif([100] * 40)
    with ThreadPoolExecutor(8) as threads:
        films = [threads.submit(predictors.client.predict, run, BEST, "video", [data]) for _ in range(4)]
        pictures = [threads.submit(predictors.client.predict, run, BEST, "image", [b"x"]) for _ in range(4)]
        assert all(future.result()[0]["values"][0] == 1.0 for future in pictures)
        assert [len(future.result()[0]["frames"]) for future in films] == [4] * 4


def test_an_answer_that_no_client_would_take_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videos, "LARGEST_ANSWER", 10_000)

    async def ask(parts: Sequence[bytes], options: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
        return [{"regions": [{"mask": "x" * 3000}]} for _ in parts]

    async def answers() -> list[dict[str, Any]]:
        return await videos.Videos(1536, 60).predicted([gif([100]), gif([100, 100, 100]), gif([100])], options, 20, ask)

    options = {"sample_ms": 100}
    first, second, third = asyncio.run(answers())
    assert "frames" in first and "frames" in third
    assert second["error"] == 30105 and "fewer videos" in second["details"]
