"""The threads that calls run in: three bounded pools, so that slow calls never hold up quick ones. Next: `rest`."""

from concurrent.futures import Executor, ThreadPoolExecutor

from clarifai_grpc.grpc.api import service_pb2

from luthier.wire.methods import Method

CALL_THREADS = 16
PREDICTION_THREADS = 32  # they mostly wait for the predictors
BULK_THREADS = 2  # each may hold several times the largest request
BULK_BYTES = 8 * 2**20


class Pools:
    def __init__(self) -> None:
        self._calls = ThreadPoolExecutor(CALL_THREADS, "call")
        self._predictions = ThreadPoolExecutor(PREDICTION_THREADS, "prediction")
        self._bulk = ThreadPoolExecutor(BULK_THREADS, "bulk")

    @property
    def calls(self) -> Executor:
        return self._calls

    def of(self, method: Method, size: int) -> Executor:
        """The pool for a call whose request has `size` bytes."""
        if method.response in (service_pb2.MultiOutputResponse, service_pb2.PostWorkflowResultsResponse):
            return self._predictions
        return self._bulk if size > BULK_BYTES else self._calls

    def close(self) -> None:
        for pool in (self._calls, self._predictions, self._bulk):
            pool.shutdown(wait=True, cancel_futures=True)
