"""A text generator in a process of its own (`luthier.engine.converse`), spoken to in JSON lines. Next: `chat`."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

from luthier.errors import PredictionFailed
from luthier.predictors.model_process import SERVED
from luthier.runs.launch import environment

ENGINE = "luthier.engine.converse"


class ChatProcess:
    """Ends with the context that it is used in. `chats`: whether the model has learnt conversations."""

    def __init__(self, run_folder: Path) -> None:
        run = str(run_folder.absolute())
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", ENGINE, run, f"{run}/{SERVED}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
            text=True,
            encoding="utf-8",
        )
        self.chats = False

    def wait_until_loaded(self) -> None:
        """Raises PredictionFailed where the model cannot be loaded."""
        said = self._read()
        if "failed" in said:
            raise PredictionFailed(f"the model cannot be loaded: {said['failed']}")
        self.chats = bool(said["chats"])

    def ask(self, text: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What `engine.converse` says, line by line, the last one among them. Raises PredictionFailed where it ends."""
        to_it = _pipe(self._process.stdin)
        try:
            to_it.write(json.dumps({"text": text, "options": dict(options)}) + "\n")
            to_it.flush()
        except OSError as error:
            raise PredictionFailed(f"the model's process has ended: {error}") from error
        while True:
            said = self._read()
            yield said
            if "piece" not in said:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            _pipe(pipe).close()

    def _read(self) -> dict[str, Any]:
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise PredictionFailed("the model's process has ended; what it said stands above")
        said: dict[str, Any] = json.loads(line)
        return said


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:  # cannot be: both are asked for
        raise RuntimeError("no pipe to the model's process")
    return pipe
