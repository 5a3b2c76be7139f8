"""What is read by a signed URL: training logs and stored pictures and texts. Whoever has the URL needs no header.

Next: `store/secrets`, which signs.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs

from luthier.api.health import only_get
from luthier.api.http import Request, Response
from luthier.errors import DoesNotExist
from luthier.settings import Settings
from luthier.store import logs, versions
from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.store.secrets import MEDIA_PATH, check_log_signature, check_media_signature

LOG_PATH = "/luthier/v1/logs/"
PIECE = 256 * 1024  # bytes read at a time
_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
    (b"BM", "image/bmp"),
    (b"II", "image/tiff"),
    (b"MM", "image/tiff"),
)
_SHA = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_MISSING = "there is no log at this address, or its signature is wrong"
_NO_FILE = "there is no file at this address, or its signature is wrong"


class Files:
    def __init__(self, settings: Settings, database: Database, blobs: Blobs, threads: Executor) -> None:
        self._settings, self._database, self._blobs, self._threads = settings, database, blobs, threads

    async def training_log(self, request: Request) -> Response:
        """The whole log so far. Raises DoesNotExist: a wrong signature looks like a version that is not there."""
        only_get(request)
        id, signature = _asked(request, LOG_PATH)
        if not _ID.fullmatch(id) or not check_log_signature(self._settings, id, signature):
            raise DoesNotExist(_MISSING)
        loop = asyncio.get_running_loop()
        text = await loop.run_in_executor(self._threads, self._read, id)
        if text is None:
            raise DoesNotExist(_MISSING)
        headers = (
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-disposition", f'inline; filename="{id}.log"'.encode()),
            (b"content-security-policy", b"default-src 'none'; sandbox"),
            (b"referrer-policy", b"no-referrer"),
        )
        return Response(200, headers=headers, rpc="training_log", stream=_pieces(text))

    async def media(self, request: Request) -> Response:
        """A stored file as it was uploaded, to be saved: no browser shows it as a page. Raises DoesNotExist."""
        only_get(request)
        sha, signature = _asked(request, f"{MEDIA_PATH}orig/")
        if not _SHA.fullmatch(sha) or not check_media_signature(self._settings, sha, signature):
            raise DoesNotExist(_NO_FILE)
        return await self.download(self._blobs.path(sha), sha, "media")

    async def download(self, path: Path, name: str, rpc: str, content_type: str = "") -> Response:
        """A file as an attachment; without a content type it has that of a picture, or none in particular.

        `name` is in letters, digits, dots and dashes. Raises DoesNotExist where there is no such file (any more).
        """
        loop = asyncio.get_running_loop()
        try:
            file = await loop.run_in_executor(self._threads, path.open, "rb")
        except FileNotFoundError as error:
            raise DoesNotExist(_NO_FILE) from error
        first = await loop.run_in_executor(self._threads, file.read, PIECE)
        found = next((kind for start, kind in _STARTS if first.startswith(start)), "application/octet-stream")
        headers = (
            (b"content-type", (content_type or found).encode()),
            (b"content-length", b"%d" % os.fstat(file.fileno()).st_size),
            (b"content-disposition", f'attachment; filename="{name}"'.encode()),
            (b"content-security-policy", b"default-src 'none'; sandbox"),
            (b"cross-origin-resource-policy", b"cross-origin"),
            (b"referrer-policy", b"no-referrer"),
        )
        return Response(200, headers=headers, rpc=rpc, stream=self._pieces_of(file, first))

    async def _pieces_of(self, file: IO[bytes], piece: bytes) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        with file:
            while piece:
                yield piece
                piece = await loop.run_in_executor(self._threads, file.read, PIECE)

    def _read(self, id: str) -> list[bytes] | None:
        with self._database.read() as connection:
            version = versions.by_id(connection, id)
            return (
                [clean(text).encode("utf-8", "replace") for text in logs.read(connection, version.seq)]
                if version
                else None
            )


def _asked(request: Request, path: str) -> tuple[str, str]:
    """What stands behind the path, and the signature."""
    name = request.raw_path.decode("latin-1").removeprefix(path).removesuffix("/")
    return name, parse_qs(request.query.decode("latin-1")).get("sig", [""])[0]


async def _pieces(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def clean(text: str) -> str:
    """Control characters other than tab and line feed, and those that turn or break lines, as visible escapes."""
    return _CONTROL.sub(_escaped, text.replace("\r\n", "\n"))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
