"""The process `luthier predictors`: answers `client` over a unix socket that only this user may open.

Next: `loaded`, who is in memory and what goes into one batch.
"""

import asyncio
import io
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from luthier.errors import InvalidPredictRequest, InvalidSettings, LuthierError, ModelLoading
from luthier.predictors.address import address_of
from luthier.predictors.loaded import Models
from luthier.predictors.model_process import ENGINE
from luthier.predictors.videos import Answer, Videos
from luthier.runs.frames import LARGEST_PART, write_frame
from luthier.settings import Settings

DRAIN_SECONDS = 10.0  # what requests that are being answered get when the process is told to end
SWEEP_SECONDS = 5.0
VIDEO = "video"  # the kind of request whose parts are taken apart here, into pictures

_log = logging.getLogger(__name__)


def run(settings: Settings, on_ready: Callable[[], None] = lambda: None, module: str = ENGINE) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what it has begun; raises InvalidSettings where one runs."""
    asyncio.run(_serve(settings, on_ready, module))


async def _serve(settings: Settings, on_ready: Callable[[], None], module: str) -> None:
    address = address_of(settings.predictors_socket)
    listener = _listen(address)
    videos = Videos(settings.decode_memory_mb, settings.video_seconds)
    server = Server(Models(settings.loaded_models, module), videos)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with await asyncio.start_unix_server(server.connected, sock=listener) as sockets:
        on_ready()
        _log.info("predictors ready, at most %d models in memory", settings.loaded_models)
        sweeper = asyncio.create_task(server.sweep())
        await ended.wait()
        with suppress(FileNotFoundError):  # before a successor can bind its own
            Path(address).unlink()
        sockets.close()
        sweeper.cancel()
        await server.drain()


def _listen(address: str) -> socket.socket:
    """A listening socket with mode 0600; one that a dead predecessor left is replaced."""
    Path(address).parent.mkdir(parents=True, exist_ok=True)
    if _answers(address):
        raise InvalidSettings("another predictors process serves this data folder; stop it first")
    with suppress(FileNotFoundError):
        Path(address).unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(address)
    finally:
        os.umask(before)
    listener.listen(128)
    return listener


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        with suppress(OSError):
            probe.connect(address)
            return True
    return False


class Server:
    """Reads requests from connections, each in turn, and answers them."""

    def __init__(self, models: Models, videos: Videos) -> None:
        self._models = models
        self._videos = videos
        self._answering: set[asyncio.Task[Any]] = set()
        self._connections: set[asyncio.Task[Any]] = set()
        self._draining = False

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            while frame := await _read(reader):
                reply = asyncio.create_task(self._reply(writer, *frame))
                self._answering.add(reply)
                reply.add_done_callback(self._answering.discard)
                await reply
        except (OSError, EOFError, ValueError) as error:
            _log.info("a connection ended: %s", error)
        finally:
            writer.close()

    async def sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._models.forget_deleted()

    async def drain(self) -> None:
        """Waits for the answers that are on their way, refuses new requests and ends the models."""
        self._draining = True
        if self._answering:
            await asyncio.wait(self._answering, timeout=DRAIN_SECONDS)
        await self._models.close()
        self._videos.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _reply(self, writer: asyncio.StreamWriter, header: dict[str, Any], parts: list[bytes]) -> None:
        writer.write(_encoded(await self._answer(header, parts)))
        await writer.drain()

    async def _answer(self, header: dict[str, Any], parts: list[bytes]) -> dict[str, Any]:
        try:
            return {"outputs": await self._outputs(header, parts)}
        except LuthierError as error:
            return {"error": error.code, "details": error.details}
        except Exception:
            _log.exception("a prediction failed")
            return {"error": LuthierError.code, "details": "the predictors' log says more"}

    async def _outputs(self, header: dict[str, Any], parts: list[bytes]) -> list[dict[str, Any]]:
        if header.get("kind") == "ping":
            return []
        if self._draining:
            raise ModelLoading("the predictors process is ending; try again in a few seconds")
        if not {"run", "checkpoint", "kind", "wait_seconds"} <= header.keys():
            raise InvalidPredictRequest("a request to the predictors needs run, checkpoint, kind and wait_seconds")
        options, seconds = header.get("options", {}), header["wait_seconds"]

        async def ask(kind: str, parts: Sequence[bytes], options: Mapping[str, Any], seconds: float) -> list[Answer]:
            model = self._models.of(Path(header["run"]), header["checkpoint"])
            return await model.predict(kind, parts, seconds, options)

        if header["kind"] == VIDEO:
            return await self._videos.predicted(parts, options, seconds, partial(ask, "image"))
        return await ask(header["kind"], parts, options, seconds)


def _encoded(header: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    write_frame(buffer, header)
    return buffer.getvalue()


async def _read(reader: asyncio.StreamReader) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next frame as `runs.frames` lays it out, or None where the client has closed."""
    try:
        head_length = await _number(reader)
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    lengths = [await _number(reader) for _ in range(await _number(reader))]
    if max([head_length, *lengths]) > LARGEST_PART:
        raise ValueError(f"a part of over {LARGEST_PART} bytes")
    header = json.loads(await reader.readexactly(head_length))
    return header, [await reader.readexactly(length) for length in lengths]


async def _number(reader: asyncio.StreamReader) -> int:
    return int.from_bytes(await reader.readexactly(4), "big")
