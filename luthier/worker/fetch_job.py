"""Fetches what was sent as URLs: inputs that are to be kept, and pictures that a call waits for.

Payload: {"rows": [seq, …]}. A slow host keeps a few connections busy, never the queue: after SLICE_SECONDS, or when
the hosts of a job have no room, the rest goes behind the jobs of others. Next: `fetching/fetcher`, `store/fetches`.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol

from sqlalchemy import Connection

from luthier.data import video_formats
from luthier.data.formats import identify
from luthier.errors import DiskFull, DownloadFailed, InvalidBytes, InvalidInput, LuthierError
from luthier.store import asked_urls, fetches, jobs, urls
from luthier.store.fetches import GOOD_INPUT, PENDING_INPUT, Fetched, ToFetch
from luthier.store.jobs import Job
from luthier.worker.fetching.fetcher import Fetcher
from luthier.worker.work import Work

PARALLEL = 4  # connections of one job; a worker runs LANES + NOW_LANES jobs, so 32 in all
LANES = 6  # more than PER_HOST: however slow one host is, there are lanes that it holds no connection of
NOW_LANES = 2  # for calls that wait, so that they never stand behind a long list of inputs
PER_HOST = 4  # connections of a worker to one host
SLICE_SECONDS = 15.0  # in which a job starts fetches
WAIT_SECONDS = 0.5  # between writes, and before a job that found no room is looked at again
TEXT = "TEXT"  # what stands in an input's format for one that is no picture


class HostRoom:
    """How many connections a worker has to each host: at most PER_HOST."""

    def __init__(self, most: int = PER_HOST) -> None:
        self._most = most
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, host: str) -> bool:
        with self._lock:
            free = self._used[host] < self._most
            self._used[host] += free
            return free

    def leave(self, host: str) -> None:
        with self._lock:
            self._used[host] -= 1
            if not self._used[host]:
                del self._used[host]


class Ledger(Protocol):
    """Where the URLs of a kind of job stand, and where it is written what came of them."""

    def waiting(self, connection: Connection, seqs: Sequence[int]) -> list[ToFetch]: ...

    def write(self, connection: Connection, job: Job, fetched: Sequence[Fetched]) -> None: ...

    def forget(self, connection: Connection, seqs: Sequence[int]) -> None:
        """Drops the texts of URLs, which may hold secrets."""


class Inputs:
    """30001 without bytes -> 30001 with bytes and a job that checks them, or what went wrong."""

    waiting = staticmethod(fetches.waiting)
    forget = staticmethod(fetches.forget)

    def write(self, connection: Connection, job: Job, fetched: Sequence[Fetched]) -> None:
        fetches.apply(connection, fetched)
        pictures = [row.seq for row in fetched if row.status == PENDING_INPUT]
        if pictures:
            jobs.enqueue(connection, "ingest", "data", job.user, {"inputs": pictures})


class Asked:
    """A call waits for the bytes and then forgets all."""

    waiting = staticmethod(asked_urls.waiting)
    forget = staticmethod(asked_urls.forget)

    def write(self, connection: Connection, job: Job, fetched: Sequence[Fetched]) -> None:
        asked_urls.apply(connection, fetched)


class FetchJob:
    """One per lane thread; the room for hosts is the worker's."""

    def __init__(self, kind: str, ledger: Ledger, fetcher: Fetcher, room: HostRoom) -> None:
        self.kind = kind
        self._ledger = ledger
        self._fetcher = fetcher
        self._room = room
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="fetch")

    def run(self, work: Work) -> None:
        seqs = _rows(work.job)
        with work.database.read() as connection:
            waiting = self._ledger.waiting(connection, seqs)
        before = len(waiting)
        self._fetch_some(work, waiting, len(seqs))
        if waiting and len(waiting) == before:
            work.lease.sleep(WAIT_SECONDS)
        with work.database.write() as connection:
            if waiting:
                jobs.postpone(connection, work.job)
            else:
                jobs.finish(connection, work.job)
                self._ledger.forget(connection, seqs)

    def gave_up(self, connection: Connection, job: Job, reasons: Sequence[str]) -> None:
        """They cannot wait for ever: they say why they were never fetched."""
        details = "the URL could not be fetched: " + "; ".join(reasons)
        left = self._ledger.waiting(connection, _rows(job))
        self._ledger.write(connection, job, [Fetched(row.seq, DownloadFailed.code, details) for row in left])
        self._ledger.forget(connection, _rows(job))

    def close(self) -> None:
        self._pool.shutdown()

    def _fetch_some(self, work: Work, waiting: list[ToFetch], total: int) -> None:
        """Takes from `waiting` what its hosts have room for, until the slice is over, and writes what came of it."""
        running: set[Future[Fetched]] = set()
        ready: list[Fetched] = []
        until, wrote = time.monotonic() + SLICE_SECONDS, time.monotonic()
        try:
            while True:
                work.lease.check()
                if time.monotonic() < until:
                    self._begin(work, waiting, running)
                done, running = wait(running, WAIT_SECONDS, FIRST_COMPLETED) if running else (set(), set())
                ready += [future.result() for future in done]
                if ready and (not running or time.monotonic() - wrote > WAIT_SECONDS):
                    self._keep(work, ready)
                    ready, wrote = [], time.monotonic()
                    work.lease.progress = total - len(waiting) - len(running)
                if not running and (not waiting or time.monotonic() >= until or not done):
                    return
        finally:
            wait(running)  # they ask the lease several times a second, so this is short

    def _begin(self, work: Work, waiting: list[ToFetch], running: set[Future[Fetched]]) -> None:
        for row in list(waiting):
            if len(running) >= PARALLEL:
                return
            host = urls.parse(row.url).host
            if self._room.enter(host):
                waiting.remove(row)
                running.add(self._pool.submit(self._fetched, work, row, host))

    def _fetched(self, work: Work, row: ToFetch, host: str) -> Fetched:
        try:
            most_mb = work.settings.max_video_mb if row.kind == "video" else None
            data = self._fetcher.fetch(urls.parse(row.url), work.lease.check, most_mb=most_mb)
            found, data = _recognised(row.kind, data)
            status = PENDING_INPUT if row.kind == "image" else GOOD_INPUT  # of others nothing is decoded here
            return Fetched(row.seq, status, "", work.blobs.put(data), len(data), found)
        except DiskFull:  # no fault of the URL's: the job is tried again
            raise
        except LuthierError as error:
            return Fetched(row.seq, error.code, error.details)
        finally:
            self._room.leave(host)

    def _keep(self, work: Work, ready: Sequence[Fetched]) -> None:
        with work.database.write() as connection:
            jobs.require(connection, work.job)
            self._ledger.write(connection, work.job, ready)


def _recognised(kind: str, data: bytes) -> tuple[str, bytes]:
    """The format and the content of what came for a picture, a video or a text."""
    if kind == "text":
        return TEXT, _text(data)
    return (video_formats.identify(data[: video_formats.START_BYTES]) if kind == "video" else identify(data)), data


def _text(data: bytes) -> bytes:
    """A text file's bytes without a byte order mark. Raises InvalidBytes unless it is UTF-8, InvalidInput if blank."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidBytes(f"the text is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error
    if not text.strip():
        raise InvalidInput("the text is empty or holds nothing but spaces")
    return data


def _rows(job: Job) -> list[int]:
    return [int(seq) for seq in job.payload["rows"]]
