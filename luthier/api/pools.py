"""Where calls run: bounded pools of threads, so that slow calls never hold up quick ones. Next: `rest`."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from clarifai_grpc.grpc.api import service_pb2

from luthier.wire.methods import Method

Result = TypeVar("Result")

READ_THREADS = 2  # short and never waiting for a lock: more of them would only wait for each other's turn at Python
WRITE_THREADS = 8
PREDICTION_THREADS = 32  # they mostly wait for the predictors
PREDICTING = (  # searches by likeness wait for the predictors and for a worker
    service_pb2.MultiOutputResponse,
    service_pb2.MultiSearchResponse,
    service_pb2.PostWorkflowResultsResponse,
)
BULK_THREADS = 2  # each may hold several times the largest request
BULK_BYTES = 8 * 2**20

# Answered on the event loop itself: each reads a few rows by key, in less time than handing it to a thread takes.
# GetInput is none of them: it shows texts whole.
QUICK = {"GetApp", "GetConcept", "GetDataset", "GetModel", "GetModelVersion", "GetUser"}


class Pools:
    def __init__(self, *, quick: bool = False) -> None:
        """`quick`: the database is a local file, whose readers wait for nobody."""
        self._quick = quick
        self.reads: Executor = ThreadPoolExecutor(READ_THREADS, "read")
        self.probes: Executor = ThreadPoolExecutor(1, "probe")  # of health, which must not wait behind calls
        self._writes = ThreadPoolExecutor(WRITE_THREADS, "write")
        self._predictions = ThreadPoolExecutor(PREDICTION_THREADS, "prediction")
        self._bulk = ThreadPoolExecutor(BULK_THREADS, "bulk")

    async def run(self, method: Method, size: int, work: Callable[[], Result]) -> Result:
        """Runs `work`, which answers a call whose request has `size` bytes, where it holds nobody up."""
        if method.name in QUICK and self._quick:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self.of(method, size), work)

    def of(self, method: Method, size: int) -> Executor:
        if method.response in PREDICTING:
            return self._predictions
        if size > BULK_BYTES:
            return self._bulk
        return self.reads if method.routes[0].verb == "GET" else self._writes

    def close(self) -> None:
        for pool in (self.reads, self.probes, self._writes, self._predictions, self._bulk):
            pool.shutdown(wait=True, cancel_futures=True)
