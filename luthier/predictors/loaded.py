"""The models that are in memory: who waits for which, what goes into one batch, who makes room. Next: `server`.

Each model has one task and at most one process. Requests that come while a batch is computed form the next one. A
process that dies is started again and its requests are asked once more, each alone, so that a request that kills
processes takes no other down with it.
"""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from luthier.errors import LuthierError, ModelBusy, ModelLoading, PredictionFailed
from luthier.predictors.model_process import ENGINE, ModelProcess, ModelProcessDied

BATCH = 64  # items in one frame
WAITING_BYTES = 512 << 20  # of one model's requests; above it, callers are told to come back
LOAD_SECONDS = 600.0
PREDICT_SECONDS = 300.0  # for one batch; a process that takes longer is ended
FAILURE_SECONDS = 3.0  # how long a model that cannot be loaded is not tried again

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Request:
    """At most BATCH items of one caller."""

    def __init__(self, kind: str, parts: Sequence[bytes], options: Mapping[str, Any]) -> None:
        self.kind = kind
        self.options = options
        self.parts = parts
        self.started = asyncio.Event()  # it was sent to the model's process, or has its answer
        self.answer: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self.attempts = 0

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))

    def finish(self, answer: list[dict[str, Any]] | LuthierError) -> None:
        self.started.set()
        if self.answer.done():  # its caller has gone
            return
        if isinstance(answer, LuthierError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Model:
    """One checkpoint of one run, loaded when first asked and kept until retired."""

    def __init__(self, run_folder: Path, checkpoint: str, slots: asyncio.Semaphore, threads: ThreadPoolExecutor,
                 module: str = ENGINE) -> None:  # fmt: skip
        self.run_folder = run_folder
        self._checkpoint = checkpoint
        self._module = module
        self._slots = slots
        self._threads = threads
        self._process: ModelProcess | None = None
        self._waiting: deque[Request] = deque()
        self._wake = asyncio.Event()
        self._retired = False
        self._failure: tuple[float, LuthierError] | None = None
        self.task = asyncio.create_task(self._work())

    async def predict(
        self, kind: str, parts: Sequence[bytes], wait_seconds: float, options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Outputs in order; raises ModelLoading, ModelBusy, PredictionFailed."""
        outputs: list[dict[str, Any]] = []
        for start in range(0, len(parts), BATCH):
            outputs += await self._ask(Request(kind, parts[start : start + BATCH], options), wait_seconds)
        return outputs

    def retire(self) -> None:
        """Serves who waits already, then ends its process."""
        self._retired = True
        self._wake.set()

    def kill(self) -> None:
        self.task.cancel()
        if self._process:
            self._process.kill()

    async def _ask(self, request: Request, wait_seconds: float) -> list[dict[str, Any]]:
        self._refuse_if_hopeless(request)
        self._waiting.append(request)
        self._wake.set()
        try:
            await asyncio.wait_for(request.started.wait(), wait_seconds)
        except TimeoutError:
            raise self._late(wait_seconds) from None
        else:
            return await request.answer
        finally:
            request.answer.cancel()  # where it is not there yet, nobody waits for it any more

    def _refuse_if_hopeless(self, request: Request) -> None:
        if self._failure and time.monotonic() < self._failure[0]:
            raise self._failure[1]
        if self._waiting and request.size + sum(waiting.size for waiting in self._waiting) > WAITING_BYTES:
            raise ModelBusy(f"{len(self._waiting)} requests wait for model {self.run_folder.name} already; try again")

    def _late(self, wait_seconds: float) -> LuthierError:
        name = self.run_folder.name
        if self._process is None or not self._process.loaded:
            return ModelLoading(f"model {name} was not loaded within {wait_seconds:g} s; it goes on loading, try again")
        return ModelBusy(f"model {name} was busy with other requests for {wait_seconds:g} s; try again")

    async def _work(self) -> None:
        async with self._slots:
            try:
                while await self._wanted():
                    if self._process or await self._load():
                        await self._serve(self._next_batch())
            finally:
                await self._end_process()

    async def _wanted(self) -> bool:
        """Waits for a request; False once retired and no request is left."""
        while True:
            self._wake.clear()
            self._waiting = deque(request for request in self._waiting if not request.answer.done())
            if self._waiting or self._retired:
                return bool(self._waiting)
            await self._wake.wait()

    async def _load(self) -> bool:
        """Starts the process, a second time if it is killed meanwhile; where that fails, so do all who wait."""
        failure: LuthierError = PredictionFailed()
        for _ in range(2):
            try:
                process = await self._in_thread(lambda: ModelProcess(self.run_folder, self._checkpoint, self._module))
                self._process = process
                await self._limited(process, LOAD_SECONDS, process.wait_until_loaded)
                return True
            except ModelProcessDied as death:
                failure = ModelLoading(f"{death.details}; try again") if death.signalled else death
            except PredictionFailed as error:
                failure = error
            except OSError as error:
                failure = ModelBusy(f"no process could be started for the model: {error.strerror}; try again")
            self._process = None
            if isinstance(failure, PredictionFailed):
                break
        _log.warning("%s", failure)
        if isinstance(failure, PredictionFailed):
            self._failure = time.monotonic() + FAILURE_SECONDS, failure
        while self._waiting:
            self._waiting.popleft().finish(failure)
        return False

    def _next_batch(self) -> list[Request]:
        """The oldest requests of one kind and options that fit into a frame; one that was tried before goes alone."""
        batch: list[Request] = []
        while self._waiting:
            request = self._waiting[0]
            if batch and (
                request.attempts
                or batch[0].attempts
                or (request.kind, request.options) != (batch[0].kind, batch[0].options)
                or len(request.parts) + sum(len(chosen.parts) for chosen in batch) > BATCH
            ):
                break
            self._waiting.popleft()
            if not request.answer.done():
                batch.append(request)
        return batch

    async def _serve(self, batch: list[Request]) -> None:
        process = self._process
        if process is None or not batch:
            return
        for request in batch:
            request.started.set()
        kind, options = batch[0].kind, batch[0].options
        parts = [part for request in batch for part in request.parts]
        try:
            outputs = await self._limited(process, PREDICT_SECONDS, lambda: process.predict(kind, parts, options))
        except ModelProcessDied as death:
            _log.warning("%s", death)
            self._process = None
            self._again(batch, ModelBusy(f"{death.details}, twice over this request; try again"), tries=2)
        except LuthierError as error:
            self._again(batch, error, tries=1 if len(batch) == 1 else 2)
        except Exception:  # a bug must not leave callers waiting
            _log.exception("a batch failed")
            self._again(batch, PredictionFailed("the predictors' log says more"), tries=1)
        else:
            for request in batch:
                request.finish(outputs[: len(request.parts)])
                outputs = outputs[len(request.parts) :]

    def _again(self, batch: list[Request], error: LuthierError, tries: int) -> None:
        for request in reversed(batch):
            request.attempts += 1
            if request.attempts >= tries:
                request.finish(error)
            else:
                self._waiting.appendleft(request)

    async def _limited(self, process: ModelProcess, seconds: float, call: Callable[[], _T]) -> _T:
        """`call` in a thread; the process is killed, and `call` thereby ends, when it takes longer than `seconds`."""
        timer = asyncio.get_running_loop().call_later(seconds, process.kill)
        try:
            return await self._in_thread(call)
        finally:
            timer.cancel()

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process:
            await self._in_thread(process.close)


class Models:
    """At most `limit` models in memory; the one that was asked for least recently makes room."""

    def __init__(self, limit: int, module: str = ENGINE) -> None:
        self._limit = max(1, limit)
        self._module = module
        self._slots = asyncio.Semaphore(self._limit)
        self._threads = ThreadPoolExecutor(self._limit + 2, "model")
        self._models: OrderedDict[tuple[Path, str], Model] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired: set[Model] = set()

    def of(self, run_folder: Path, checkpoint: str) -> Model:
        key = run_folder, checkpoint
        model = self._models.get(key)
        if model is None or model.task.done():
            model = Model(run_folder, checkpoint, self._slots, self._threads, self._module)
            self._models[key] = model
        self._models.move_to_end(key)
        while len(self._models) > self._limit:
            self._retire(next(iter(self._models)))
        return model

    def forget_deleted(self) -> None:
        """Makes room by ending models whose run folder was deleted."""
        for key in [key for key in self._models if not key[0].is_dir()]:
            self._retire(key)

    async def close(self, seconds: float = 5.0) -> None:
        """Serves who waits already, at most so long, and ends every process."""
        for key in list(self._models):
            self._retire(key)
        if self._retired:
            await asyncio.wait([model.task for model in self._retired], timeout=seconds)
        for model in list(self._retired):
            model.kill()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*(model.task for model in self._retired), return_exceptions=True)
        self._threads.shutdown(wait=False)

    def _retire(self, key: tuple[Path, str]) -> None:
        model = self._models.pop(key)
        model.retire()
        self._retired.add(model)
        model.task.add_done_callback(lambda _: self._retired.discard(model))
