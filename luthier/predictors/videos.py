"""Videos: a helper process decodes them, their frames go through the model as pictures. Next: `data/video_helper`.

The answer to one video is {"frames": [{"index", "time_ms", "number", and what the model says of that picture}]}, or
{"error": code, "details": text}.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from luthier.errors import InputOverLimit, ModelBusy, VideoDecodeError
from luthier.runs.frames import read_frame
from luthier.runs.launch import environment

HELPER = "luthier.data.video_helper"
DEFAULT_SAMPLE_MS = 1000
AT_ONCE = 2  # videos; each takes a processor and the memory of a decoder
CHUNK = 32  # frames that go to the model at a time,
CHUNK_BYTES = 64 << 20  # fewer where they are large
LARGEST_ANSWER = 96 << 20  # bytes of JSON that the answer to one request may take: a client takes 128 MiB

Answer = dict[str, Any]
Ask = Callable[
    [Sequence[bytes], Mapping[str, Any], float], Awaitable[list[Answer]]
]  # pictures, options, seconds to wait


class Videos:
    """Decodes at most AT_ONCE videos at a time, each with a limit on memory and on the whole time it takes."""

    def __init__(self, memory_mb: int, seconds: float) -> None:
        self._memory_mb = memory_mb
        self._seconds = seconds
        self._room = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, "video")

    async def predicted(
        self, videos: Sequence[bytes], options: Mapping[str, Any], wait_seconds: float, ask: Ask
    ) -> list[Answer]:
        """What `ask`, the model, says of each frame of each video. Raises ModelBusy and what `ask` raises."""
        answers: list[Answer] = []
        left = LARGEST_ANSWER
        for video in videos:
            answers.append(await self._answer(video, options, wait_seconds, ask, left))
            left -= _size(answers[-1])
        return answers

    async def _answer(
        self, video: bytes, options: Mapping[str, Any], wait_seconds: float, ask: Ask, most_bytes: int
    ) -> Answer:
        try:
            await asyncio.wait_for(self._room.acquire(), wait_seconds)
        except TimeoutError:
            raise ModelBusy(f"{AT_ONCE} other videos were being decoded for {wait_seconds:g} s; try again") from None
        try:
            with tempfile.TemporaryDirectory(prefix="luthier-video-") as folder:
                file = Path(folder) / "video"
                await asyncio.to_thread(file.write_bytes, video)
                return await self._frames_of(file, options, wait_seconds, ask, most_bytes)
        finally:
            self._room.release()

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def _frames_of(
        self, file: Path, options: Mapping[str, Any], wait_seconds: float, ask: Ask, most_bytes: int
    ) -> Answer:
        sample_ms = int(options.get("sample_ms", DEFAULT_SAMPLE_MS))
        others = {name: value for name, value in options.items() if name != "sample_ms"}
        helper = _Helper(file, sample_ms, self._memory_mb)
        frames: list[Answer] = []
        try:
            async with asyncio.timeout(self._seconds):
                return await self._asked(helper, frames, most_bytes, lambda parts: ask(parts, others, wait_seconds))
        except TimeoutError:
            return _error(
                InputOverLimit.code,
                f"the video took longer than {self._seconds:g} s, in which {len(frames)} frames were predicted; "
                f"send a larger sample_ms than {sample_ms}, or a shorter video",
            )
        finally:
            helper.kill()

    async def _asked(
        self,
        helper: "_Helper",
        frames: list[Answer],
        most_bytes: int,
        ask: Callable[[Sequence[bytes]], Awaitable[list[Answer]]],
    ) -> Answer:
        """Fills `frames`. The next pictures are decoded while the model looks at some."""
        loop, size, last = asyncio.get_running_loop(), 0, Answer()
        upcoming = loop.run_in_executor(self._threads, helper.chunk)
        while chunk := await upcoming:
            if "error" in chunk[-1][0]:
                return chunk[-1][0]
            upcoming = loop.run_in_executor(self._threads, helper.chunk)
            pictures = [picture for _, picture in chunk if picture is not None]
            outputs = iter(await ask(pictures) if pictures else [])
            for header, picture in chunk:
                last = last if picture is None else next(outputs)
                if "error" in last:
                    return _error(last["error"], f"at {header['time_ms']} ms: {last['details']}")
                frames.append({**header, **last})
                size += _size(last)
            if size > most_bytes:
                return _error(
                    InputOverLimit.code,
                    f"the answer is larger than {LARGEST_ANSWER >> 20} MiB; send fewer videos, or a larger sample_ms",
                )
        return {"frames": frames}


def _size(output: Answer) -> int:
    """Bytes that a frame's answer takes as JSON."""
    return len(json.dumps(output))


def _error(code: int, details: str) -> Answer:
    return {"error": code, "details": details}


class _Helper:
    """A video_helper at work on one file."""

    def __init__(self, file: Path, sample_ms: int, memory_mb: int) -> None:
        limits = ["--sample-ms", str(sample_ms), "--memory-mb", str(memory_mb)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", HELPER, str(file), *limits],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries write what they think of a broken file; the answer says it better
            env={**environment(), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        self._ended = False

    def chunk(self) -> list[tuple[Answer, bytes | None]]:
        """The next frames, each with its picture, None for the one before; [] at the end; an error stands last."""
        found: list[tuple[Answer, bytes | None]] = []
        size = 0
        while not self._ended and len(found) < CHUNK and size < CHUNK_BYTES:
            header, parts = self._next()
            self._ended = "error" in header or "end" in header
            if "end" not in header:
                found.append((header, parts[0] if parts else None))
                size += sum(map(len, parts))
        return found

    def _next(self) -> tuple[Answer, list[bytes]]:
        try:
            frame = read_frame(_pipe(self._process.stdout))
        except (OSError, EOFError, ValueError):
            frame = None
        if frame is None:
            code = self._process.wait()
            cause = f"signal {-code}" if code < 0 else f"exit code {code}"
            return _error(VideoDecodeError.code, f"the decoder crashed over this video ({cause})"), []
        return frame

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _pipe(pipe: IO[bytes] | None) -> Any:
    if pipe is None:  # cannot be: it is asked for
        raise RuntimeError("no pipe to the video helper")
    return pipe
