"""Asks the predictors process for predictions over its unix socket. Standard library only. Next: `server`, who answers.

One frame (`runs.frames`) each way: {"run", "checkpoint", "kind", "options", "wait_seconds"} and the items go out,
{"outputs": [...]} or {"error": code, "details": text} comes back.
"""

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from luthier.errors import LuthierError, ModelBusy, ModelLoading, PredictionFailed
from luthier.predictors.address import address_of
from luthier.runs.frames import read_frame, write_frame

ANSWER_SECONDS = 900.0  # beyond the wait for the model; the server answers long before, this ends a lost connection
RESTART_SECONDS = 3.0  # how long a missing predictors process is given to come back
IDLE_CONNECTIONS = 8

_KINDS: dict[int, type[LuthierError]] = {ModelBusy.code: ModelBusy, ModelLoading.code: ModelLoading}


class PredictorsClient:
    """A small pool of connections to the predictors process, safe to use from many threads."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()

    def predict(
        self,
        run_folder: Path,
        checkpoint: str,
        kind: str,
        parts: Sequence[bytes],
        wait_seconds: float = 20.0,
        options: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """One dict per part, in order, as `engine.predict` gives them: {"values": …} or {"error": code, "details": …}.

        `checkpoint` is relative to the run folder; `kind` is "image" or "text"; `parts` are encoded files; `options`
        (JSON) go to the model with each of them. Waits up to `wait_seconds` for the model to be loaded. Raises
        ModelLoading (not loaded in time, or no predictors process), ModelBusy (loaded, but not free in time, or its
        process died over this request) and PredictionFailed.
        """
        where = {"run": str(run_folder.absolute()), "checkpoint": checkpoint}
        header = {**where, "kind": kind, "options": dict(options or {}), "wait_seconds": wait_seconds}
        answer = self._ask(header, parts, wait_seconds)
        if "error" in answer:
            raise _KINDS.get(answer["error"], PredictionFailed)(answer.get("details", ""))
        outputs: list[dict[str, Any]] = answer["outputs"]
        return outputs

    def alive(self) -> bool:
        """Whether a predictors process answers right now."""
        with suppress(OSError, EOFError, ValueError), _Connection(self._socket, timeout=2.0) as connection:
            return "outputs" in connection.ask({"kind": "ping"}, ())
        return False

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _ask(self, header: dict[str, Any], parts: Sequence[bytes], wait_seconds: float) -> dict[str, Any]:
        """The answer. A prediction changes nothing: over a connection that breaks, the question is asked again."""
        timeout = wait_seconds + ANSWER_SECONDS
        give_up: float | None = None
        while True:
            try:
                connection = self._take(timeout)
                answer = connection.ask(header, parts)
            except TimeoutError as error:
                raise ModelBusy(f"no answer from the predictors process in {timeout:.0f} s; try again") from error
            except (OSError, EOFError) as error:
                give_up = give_up or time.monotonic() + RESTART_SECONDS
                if time.monotonic() >= give_up:
                    raise ModelLoading(_not_running(self._socket, error)) from error
                time.sleep(0.05)
            else:
                self._give_back(connection)
                return answer

    def _take(self, timeout: float) -> "_Connection":
        with self._lock:
            if self._idle:
                connection = self._idle.pop()
                connection.set_timeout(timeout)
                return connection
        return _Connection(self._socket, timeout)

    def _give_back(self, connection: "_Connection") -> None:
        with self._lock:
            if len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()


def _not_running(path: Path, error: Exception) -> str:
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (
        f"the predictors process does not answer at {path.name} ({cause}); `luthier serve` starts it and "
        "restarts it when it dies, `luthier predictors` starts it alone. Try again in a few seconds"
    )


class _Connection:
    """One connection; it is closed by the first thing that goes wrong on it."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(address_of(path))
        except BaseException:
            self._socket.close()
            raise
        self._incoming = self._socket.makefile("rb")
        self._outgoing = self._socket.makefile("wb")

    def set_timeout(self, seconds: float) -> None:
        self._socket.settimeout(seconds)

    def ask(self, header: dict[str, Any], parts: Sequence[bytes]) -> dict[str, Any]:
        try:
            write_frame(self._outgoing, header, parts)
            frame = read_frame(self._incoming)
            if frame is None:
                raise EOFError("the predictors process closed the connection")
            return frame[0]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for end in (self._outgoing, self._incoming, self._socket):
            with suppress(OSError):
                end.close()

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
