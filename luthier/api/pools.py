"""The threads that calls run in: bounded pools, so that slow calls never hold up quick ones. Next: `rest`."""

from concurrent.futures import Executor, ThreadPoolExecutor

from clarifai_grpc.grpc.api import service_pb2

from luthier.wire.methods import Method

READ_THREADS = 2  # short and never waiting for a lock: more of them would only wait for each other's turn at Python
WRITE_THREADS = 8
PREDICTION_THREADS = 32  # they mostly wait for the predictors
BULK_THREADS = 2  # each may hold several times the largest request
BULK_BYTES = 8 * 2**20


class Pools:
    def __init__(self) -> None:
        self.reads: Executor = ThreadPoolExecutor(READ_THREADS, "read")
        self._writes = ThreadPoolExecutor(WRITE_THREADS, "write")
        self._predictions = ThreadPoolExecutor(PREDICTION_THREADS, "prediction")
        self._bulk = ThreadPoolExecutor(BULK_THREADS, "bulk")

    def of(self, method: Method, size: int) -> Executor:
        """The pool for a call whose request has `size` bytes."""
        if method.response in (service_pb2.MultiOutputResponse, service_pb2.PostWorkflowResultsResponse):
            return self._predictions
        if size > BULK_BYTES:
            return self._bulk
        return self.reads if method.routes[0].verb == "GET" else self._writes

    def close(self) -> None:
        for pool in (self.reads, self._writes, self._predictions, self._bulk):
            pool.shutdown(wait=True, cancel_futures=True)
