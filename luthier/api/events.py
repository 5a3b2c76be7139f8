"""Server-sent events: how a model version's training and a user's jobs go on, as it happens. Next: `files`, `rest`.

`GET /luthier/v1/events?model_version=ID` follows a version: with a token, or with the `sig` of its train_log, since a
browser's EventSource sends no headers. Without `model_version` it follows the caller's jobs, with a token of the user.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Any, Protocol
from urllib.parse import parse_qs

from luthier.api.auth import Authenticator, Credentials, check_scopes
from luthier.api.http import Request, Response
from luthier.errors import DoesNotExist, InsufficientScopes, LimitExceeded, LuthierError, MethodNotAllowed
from luthier.rpcs.context import Caller
from luthier.rpcs.model_message import version_status
from luthier.settings import Settings
from luthier.store import job_states, versions
from luthier.store.database import Database
from luthier.store.secrets import check_log_signature
from luthier.store.versions import Status
from luthier.wire.methods import BY_NAME

EVENTS_PATH = "/luthier/v1/events"
POLL_SECONDS = 1.0
ALIVE_SECONDS = 15.0  # a comment this often: proxies close what is silent
MOST_STREAMS = 100  # of one process

_NEEDED_FOR_JOBS = ("GetModelVersion", "ListDatasetVersions", "ListInputsAddJobs")
_MISSING = "there is no such model version, or your token or signature does not reach it"
_HEADERS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"))

log = logging.getLogger("luthier.api")


class Source(Protocol):
    """What a stream follows. `look` runs in a thread: what is new as events, and whether it was the last time."""

    def look(self) -> tuple[list[bytes], bool]: ...


class Events:
    def __init__(self, settings: Settings, database: Database, threads: Executor) -> None:
        self._settings, self._database, self._threads = settings, database, threads
        self._auth = Authenticator(database)
        self._closing = asyncio.Event()
        self._streams = 0

    async def page(self, request: Request) -> Response:
        """Raises what `Authenticator` does, DoesNotExist, InsufficientScopes, LimitExceeded."""
        if request.verb != "GET":
            raise MethodNotAllowed("this page answers GET")
        if self._streams >= MOST_STREAMS:
            raise LimitExceeded(f"{MOST_STREAMS} streams of events are open; close one or try again later")
        query = parse_qs(request.query.decode("latin-1"))
        version, signature = (query.get(name, [""])[0] for name in ("model_version", "sig"))
        source = self._source(request.credentials(), version, signature)
        first = await self._look(source)  # what is wrong with the request is told before the stream begins
        return Response(200, headers=_HEADERS, rpc="events", stream=self._stream(request, source, first))

    def close(self) -> None:
        """Ends every stream: the server drains."""
        self._closing.set()

    def _source(self, credentials: Credentials, version: str, signature: str) -> Source:
        if version and signature:
            return _VersionSource(self._database, version, lambda: self._check_signature(version, signature))
        if version:
            return _VersionSource(self._database, version, lambda: self._caller(credentials, ("GetModelVersion",)))
        return _JobsSource(self._database, lambda: self._whole_user(credentials))

    def _check_signature(self, version: str, signature: str) -> None:
        if not check_log_signature(self._settings, version, signature):
            raise DoesNotExist(_MISSING)

    def _caller(self, credentials: Credentials, calls: tuple[str, ...]) -> Caller:
        """The token is judged again at each look, so that a stream ends with it."""
        caller = self._auth.caller(BY_NAME["MyScopes"], credentials)
        for name in calls:
            check_scopes(BY_NAME[name], caller)
        return caller

    def _whole_user(self, credentials: Credentials) -> Caller:
        caller = self._caller(credentials, _NEEDED_FOR_JOBS)
        if caller.app is not None:
            raise InsufficientScopes("jobs are followed with a token of the user; this one reaches a single app")
        return caller

    async def _look(self, source: Source) -> tuple[list[bytes], bool]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, source.look)

    async def _stream(self, request: Request, source: Source, first: tuple[list[bytes], bool]) -> AsyncIterator[bytes]:
        gone = asyncio.create_task(_disconnected(request))
        closing = asyncio.create_task(self._closing.wait())
        self._streams += 1
        try:
            (parts, last), silent = first, 0.0
            while True:
                for part in parts:
                    yield part
                silent = 0.0 if parts else silent + POLL_SECONDS
                if silent >= ALIVE_SECONDS:
                    silent = 0.0
                    yield b": alive\n\n"
                if last or await _either(gone, closing, POLL_SECONDS):
                    return
                parts, last = await self._look(source)
        except LuthierError as error:  # the token was revoked, the version deleted
            yield _event("end", {"code": error.code, "description": error.description, "details": error.details})
        except Exception:
            log.exception("a stream of events failed")
        finally:
            self._streams -= 1
            gone.cancel()
            closing.cancel()


class _VersionSource:
    """One model version: an event at each change of its status, `end` after the last one."""

    def __init__(self, database: Database, id: str, allowed: Callable[[], Caller | None]) -> None:
        self._database, self._id, self._allowed = database, id, allowed
        self._shown: dict[str, Any] | None = None

    def look(self) -> tuple[list[bytes], bool]:
        caller = self._allowed()
        with self._database.read() as connection:
            version = versions.by_id(connection, self._id)
        if version is None or (caller and not _reaches(caller, version)):
            raise DoesNotExist(_MISSING)
        status = version_status(version)
        now = {
            "model_version": version.id,
            "model": version.model_id,
            "code": status.code,
            "description": status.description,
            "details": status.details,
            "percent_completed": status.percent_completed,
            "time_remaining": status.time_remaining,
        }
        if now == self._shown:
            return [], False
        self._shown = now
        last = version.status not in (Status.QUEUED, Status.TRAINING)
        return [_event("version", now), *([_event("end", {"code": status.code})] if last else [])], last


class _JobsSource:
    """The jobs of a user: an event for each that waits or runs, at each change, and when it ends. It has no end."""

    def __init__(self, database: Database, allowed: Callable[[], Caller]) -> None:
        self._database, self._allowed = database, allowed
        self._shown: dict[int, job_states.JobState] = {}

    def look(self) -> tuple[list[bytes], bool]:
        caller = self._allowed()
        with self._database.read() as connection:
            found = job_states.of_user(connection, caller.user_id, list(self._shown))
        new = [job for job in found if self._shown.get(job.seq) != job]
        self._shown = {job.seq: job for job in found if not job.ended}
        return [_event("job", _job(job)) for job in new], False


def _reaches(caller: Caller, version: versions.Version) -> bool:
    return version.user_id == caller.user_id and caller.app in (None, version.app)


def _job(job: job_states.JobState) -> dict[str, Any]:
    shown = {"job": job.seq, "kind": job.kind, "state": job.state, "progress": job.progress}
    return {**shown, "model_version": job.version_id} if job.version_id else shown


def _event(name: str, data: dict[str, Any]) -> bytes:
    """JSON holds no line break, so one `data` line is the whole of it."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _either(gone: asyncio.Task[None], closing: asyncio.Task[bool], seconds: float) -> bool:
    """Waits; True where the client went away or the server drains."""
    done, _ = await asyncio.wait((gone, closing), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)
