"""/livez, /readyz and the page that Clarifai's SDK probes. No key is needed, nothing secret is told. Next: `server`."""

import asyncio
import json
import logging
import os
import shutil
import time
from concurrent.futures import Executor

from luthier.api.http import Request, Response
from luthier.errors import MethodNotAllowed
from luthier.settings import Settings
from luthier.store.database import Database

PATIENCE_SECONDS = 4.0
PROBE_BYTES = 64 * 1024
FRESH_SECONDS = 1.0  # an answer is given again for this long, so that probes cost nothing

log = logging.getLogger("luthier.api")


def only_get(request: Request) -> None:
    if request.verb not in ("GET", "HEAD"):
        raise MethodNotAllowed("this page answers GET")


class Health:
    def __init__(self, settings: Settings, database: Database, threads: Executor) -> None:
        self._settings, self._database, self._threads = settings, database, threads
        self._checked, self._troubles = float("-inf"), [""]
        self._looking: asyncio.Task[None] | None = None

    async def livez(self, request: Request) -> Response:
        only_get(request)
        return _json(200, {"live": True})

    async def readyz(self, request: Request) -> Response:
        """503 with reasons where the database cannot be written or the disk is full; within PATIENCE_SECONDS."""
        only_get(request)
        if time.monotonic() - self._checked > FRESH_SECONDS:
            self._looking = self._looking or asyncio.create_task(self._look())  # one look, however many ask
            await asyncio.shield(self._looking)
        return _json(503 if self._troubles else 200, {"ready": not self._troubles, "reasons": self._troubles})

    async def auth_methods(self, request: Request) -> Response:
        only_get(request)
        status = {"code": 10000, "description": "Ok", "req_id": request.req_id}
        return _json(200, {"status": status, "auth_methods": ["Key", "Bearer"]})

    async def _look(self) -> None:
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._look_now)
        try:
            self._troubles = await asyncio.wait_for(work, PATIENCE_SECONDS)
        except TimeoutError:
            self._troubles = [f"database and disk did not take a write within {PATIENCE_SECONDS:g} s"]
        finally:
            self._checked, self._looking = time.monotonic(), None

    def _look_now(self) -> list[str]:
        return [reason for reason in (self._database_trouble(), self._disk_trouble()) if reason]

    def _database_trouble(self) -> str:
        try:
            with self._database.write():
                return ""
        except Exception:
            log.exception("the database cannot be written")
            return "the database cannot be written; the server's log says why"

    def _disk_trouble(self) -> str:
        folder = self._settings.data_dir
        try:
            free = shutil.disk_usage(folder).free // 2**20
            probe = folder / f".writable.{os.getpid()}"
            try:
                probe.write_bytes(bytes(PROBE_BYTES))  # a quota or a full disk lets empty files pass
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            return f"the data folder cannot be written: {error.strerror}"
        if free < self._settings.disk_reserve_mb:
            return f"{free} MiB free on disk, below the reserve of {self._settings.disk_reserve_mb} MiB"
        return ""


def _json(status: int, body: object) -> Response:
    return Response(status, json.dumps(body).encode())
