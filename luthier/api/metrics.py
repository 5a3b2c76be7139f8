"""/metrics in Prometheus' text format: calls, jobs, inputs that wait, this process. Next: `access_log`, which counts.

Nothing here names a user, an app or a thing of theirs. https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import asyncio
import logging
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from luthier import __version__
from luthier.api.health import only_get
from luthier.api.http import Request, Response
from luthier.store import counts
from luthier.store.database import Database
from luthier.wire.methods import BY_NAME

BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds
PATIENCE_SECONDS = 4.0
OTHER = "other"  # pages, and what is no call at all: a client must not be able to make names up

log = logging.getLogger("luthier.api")


@dataclass
class Times:
    """How long the calls of one name took. `buckets` counts those up to each bound, the last those above all."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0


class Calls:
    """Counts on the event loop's thread alone, so without a lock."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str, int, int]] = Counter()
        self._times: dict[str, Times] = {}

    def count(self, rpc: str, transport: str, status: int, code: int, seconds: float) -> None:
        """`status` is HTTP's, `code` the wire's, 0 where there was none."""
        name = rpc if rpc in BY_NAME else OTHER
        self._answers[name, transport, status, code] += 1
        times = self._times.get(name) or self._times.setdefault(name, Times())
        times.buckets[bisect_left(BUCKETS, seconds)] += 1
        times.seconds += seconds

    def lines(self) -> Iterator[str]:
        yield from _head("luthier_requests_total", "counter", "Answered requests.")
        for (rpc, transport, status, code), number in sorted(self._answers.items()):
            labels = f'rpc="{rpc}",transport="{transport}",status="{status}",code="{code}"'
            yield f"luthier_requests_total{{{labels}}} {number}"
        yield from _head("luthier_request_seconds", "histogram", "Time from a request's arrival to its answer.")
        for rpc, times in sorted(self._times.items()):
            yield from _histogram(rpc, times)


CALLS = Calls()  # of this process, as the others of its figures


class Metrics:
    def __init__(self, database: Database, threads: Executor) -> None:
        self._database, self._threads = database, threads

    async def page(self, request: Request) -> Response:
        """Answers within seconds whatever the database does: its figures are then left out."""
        only_get(request)
        lines = [*_process(), *CALLS.lines(), *await self._stored()]
        headers = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)
        return Response(200, ("\n".join(lines) + "\n").encode(), headers)

    async def _stored(self) -> list[str]:
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._look)
        try:
            found = await asyncio.wait_for(work, PATIENCE_SECONDS)
        except Exception:
            log.warning("the database gave no figures for /metrics", exc_info=True)
            found = []
        up = _head("luthier_database_up", "gauge", "1 where the database answered for this page.")
        return [*up, f"luthier_database_up {int(bool(found))}", *found]

    def _look(self) -> list[str]:
        with self._database.read() as connection:
            jobs, pending = counts.jobs(connection), counts.pending_inputs(connection)
        return [
            *_head("luthier_jobs", "gauge", "Jobs in the queue's table."),
            *(f'luthier_jobs{{kind="{kind}",state="{state}"}} {number}' for kind, state, number in jobs),
            *_head("luthier_inputs_pending", "gauge", "Inputs that have not been looked at yet."),
            f"luthier_inputs_pending {pending}",
        ]


def _histogram(rpc: str, times: Times) -> Iterator[str]:
    so_far = 0
    for bound, number in zip((*map(str, BUCKETS), "+Inf"), times.buckets, strict=True):
        so_far += number
        yield f'luthier_request_seconds_bucket{{rpc="{rpc}",le="{bound}"}} {so_far}'
    yield f'luthier_request_seconds_sum{{rpc="{rpc}"}} {times.seconds:.6f}'
    yield f'luthier_request_seconds_count{{rpc="{rpc}"}} {so_far}'


def _process() -> Iterator[str]:
    yield from _head("luthier_build_info", "gauge", "The version that runs.")
    yield f'luthier_build_info{{version="{__version__}"}} 1'
    yield from _head("process_cpu_seconds_total", "counter", "Processor time of the API process.")
    yield f"process_cpu_seconds_total {time.process_time():.3f}"
    statm = Path("/proc/self/statm")
    if statm.exists():  # Linux; elsewhere the figure is left out
        pages = int(statm.read_text(encoding="ascii").split()[1])
        yield from _head("process_resident_memory_bytes", "gauge", "Memory that the API process holds.")
        yield f"process_resident_memory_bytes {pages * os.sysconf('SC_PAGE_SIZE')}"


def _head(name: str, kind: str, words: str) -> tuple[str, str]:
    return f"# HELP {name} {words}", f"# TYPE {name} {kind}"
