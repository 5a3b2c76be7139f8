"""The training log by its signed URL, as plain text: whoever has the URL may read it, no header is needed.

Next: `store/secrets`, which signs.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from urllib.parse import parse_qs

from luthier.api.health import only_get
from luthier.api.http import Request, Response
from luthier.errors import DoesNotExist
from luthier.settings import Settings
from luthier.store import logs, versions
from luthier.store.database import Database
from luthier.store.secrets import check_log_signature

LOG_PATH = "/luthier/v1/logs/"
_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_MISSING = "there is no log at this address, or its signature is wrong"


class Files:
    def __init__(self, settings: Settings, database: Database, threads: Executor) -> None:
        self._settings, self._database, self._threads = settings, database, threads

    async def training_log(self, request: Request) -> Response:
        """The whole log so far. Raises DoesNotExist: a wrong signature looks like a version that is not there."""
        only_get(request)
        id = request.raw_path.decode("latin-1")[len(LOG_PATH) :].removesuffix("/")
        signature = parse_qs(request.query.decode("latin-1")).get("sig", [""])[0]
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

    def _read(self, id: str) -> list[bytes] | None:
        with self._database.read() as connection:
            version = versions.by_id(connection, id)
            return (
                [clean(text).encode("utf-8", "replace") for text in logs.read(connection, version.seq)]
                if version
                else None
            )


async def _pieces(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def clean(text: str) -> str:
    """Control characters other than tab and line feed, and those that turn or break lines, as visible escapes."""
    return _CONTROL.sub(_escaped, text.replace("\r\n", "\n"))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
