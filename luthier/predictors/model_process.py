"""One trained model, loaded in a process of its own (`luthier.engine.predict`), spoken to in frames over its pipes.

The process lives in its own process group and ends when its standard input closes, so it never outlives its owner.
Used by `server` for many callers and by `luthier predict` directly. Next: `loaded`.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from luthier.errors import PredictionFailed, shown
from luthier.runs.frames import read_frame, write_frame
from luthier.runs.launch import environment

ENGINE = "luthier.engine.predict"
SERVED = "checkpoints/best"  # the checkpoint of a finished run, relative to its folder
_log = logging.getLogger(__name__)


class ModelProcessDied(PredictionFailed):
    """The process of the model ended"""

    def __init__(self, details: str, *, signalled: bool) -> None:
        super().__init__(details)
        self.signalled = signalled  # something killed it, so another one may live


class ModelProcess:
    """Blocks while it loads and while it predicts; `kill` may be called from another thread to end either."""

    def __init__(self, run_folder: Path, checkpoint: str = SERVED, module: str = ENGINE) -> None:
        self.name = f"{run_folder.name}/{checkpoint}"
        self._parent = f"{run_folder.absolute().parent}/"
        self.concepts: list[dict[str, str]] = []  # {"id", "name"}, in the order of a prediction's values
        self.device = ""
        self.loaded = False
        self._asking = threading.Lock()
        self._last_words: deque[str] = deque(maxlen=20)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(run_folder.absolute()), str(run_folder.absolute() / checkpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, name=f"stderr of {self.name}", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_loaded(self) -> None:
        """Returns when the model can predict. Raises PredictionFailed (it cannot be loaded) and ModelProcessDied."""
        if self.loaded:
            return
        header = self._exchange(None, ())
        if "failed" in header:
            self.kill()
            raise PredictionFailed(f"model {self.name} cannot be loaded: {self._without_path(header['failed'])}")
        self.concepts, self.device = header.get("concepts", []), header.get("device", "")
        self.loaded = True

    def predict(
        self, kind: str, parts: Sequence[bytes], options: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """One dict per part: {"values": […]} or {"error": code, "details": text}; loads first where that is left to do.

        Raises PredictionFailed (the model cannot be loaded, or refuses the whole request) and ModelProcessDied.
        """
        self.wait_until_loaded()
        header = self._exchange({"kind": kind, "options": dict(options or {})}, parts)
        if "failed" in header:
            raise PredictionFailed(f"model {self.name}: {self._without_path(header['failed'])}")
        outputs: list[dict[str, Any]] = header["outputs"]
        if len(outputs) != len(parts):
            raise PredictionFailed(f"model {self.name} gave {len(outputs)} outputs for {len(parts)} inputs")
        return outputs

    def close(self, grace_seconds: float = 3.0) -> None:
        """Lets it end by itself, then ends it."""
        with suppress(OSError):
            _pipe(self._process.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_seconds)
        self.kill()
        self._listener.join(1.0)
        with self._asking:
            for pipe in (self._process.stdout, self._process.stderr):
                _pipe(pipe).close()

    def kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        self.wait_until_loaded()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _exchange(self, header: dict[str, Any] | None, parts: Sequence[bytes]) -> dict[str, Any]:
        try:
            with self._asking:
                if header is not None:
                    write_frame(_pipe(self._process.stdin), header, parts)
                frame = read_frame(_pipe(self._process.stdout))
        except (OSError, EOFError, ValueError) as error:
            raise self._died(str(error)) from error
        if frame is None:
            raise self._died("it closed its output")
        return frame[0]

    def _died(self, reason: str) -> ModelProcessDied:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        code = self._process.poll()
        self.kill()  # what is left of it: it no longer speaks
        self._listener.join(1.0)
        if code is not None:
            reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        signalled = code is not None and code < 0
        if self._last_words and not signalled:
            reason += f"; its last words: {self._without_path(' / '.join(self._last_words))}"
        return ModelProcessDied(f"the process of model {self.name} ended: {reason}", signalled=signalled)

    def _without_path(self, text: str) -> str:
        """What the engine says, without where on this machine the run lies: callers see it."""
        return text.replace(self._parent, "")

    def _listen(self) -> None:
        for line in _pipe(self._process.stderr):
            text = shown(line.decode("utf-8", "replace").rstrip(), 300)
            self._last_words.append(text)
            _log.info("model %s: %s", self.name, text)


def _pipe(pipe: IO[bytes] | None) -> Any:
    if pipe is None:  # cannot be: all three are asked for
        raise RuntimeError("no pipe to the model process")
    return pipe
