"""Archives of dataset versions, downloaded by their signed URLs. Next: `rpcs/dataset_exports`, which gives the URLs."""

import asyncio
import re
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs

from luthier.api.health import only_get
from luthier.api.http import Request, Response
from luthier.errors import DoesNotExist
from luthier.settings import Settings
from luthier.store import exports
from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.store.exports import Export, Status
from luthier.store.secrets import check_export_signature

EXPORTS_PATH = "/luthier/v1/exports/"
_ID = re.compile(r"[0-9a-f]{32}")
_CHUNK = 1 << 18
_MISSING = "there is no export at this address, or its signature is wrong"


class ExportFiles:
    def __init__(self, settings: Settings, database: Database, blobs: Blobs, threads: Executor) -> None:
        self._settings, self._database, self._blobs, self._threads = settings, database, blobs, threads

    async def page(self, request: Request) -> Response:
        """The whole archive. Raises DoesNotExist: a wrong signature looks like an export that is not there."""
        only_get(request)
        id = request.raw_path.decode("latin-1")[len(EXPORTS_PATH) :].removesuffix("/")
        signature = parse_qs(request.query.decode("latin-1")).get("sig", [""])[0]
        if not _ID.fullmatch(id) or not check_export_signature(self._settings, id, signature):
            raise DoesNotExist(_MISSING)
        export = await asyncio.get_running_loop().run_in_executor(self._threads, self._find, id)
        if export is None:
            raise DoesNotExist(_MISSING)
        headers = (
            (b"content-type", b"application/zip"),
            (b"content-length", b"%d" % export.size),
            (b"content-disposition", f'attachment; filename="{id}.zip"'.encode()),
            (b"content-security-policy", b"default-src 'none'; sandbox"),
            (b"referrer-policy", b"no-referrer"),
        )
        body = _nothing() if request.verb == "HEAD" else self._pieces(self._blobs.path(export.blob))
        return Response(200, headers=headers, rpc="dataset_export", stream=body)

    def _find(self, id: str) -> Export | None:
        with self._database.read() as connection:
            export = exports.by_id(connection, id)
        return export if export and export.status == Status.DONE else None

    async def _pieces(self, path: Path) -> AsyncIterator[bytes]:
        """Read in a thread: a slow disk holds up nobody else."""
        loop = asyncio.get_running_loop()
        file: BinaryIO = await loop.run_in_executor(self._threads, path.open, "rb")
        with file:
            while piece := await loop.run_in_executor(self._threads, file.read, _CHUNK):
                yield piece


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
