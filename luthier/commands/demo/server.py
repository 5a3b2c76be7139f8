"""A server of its own for the demo: `luthier serve` on a fresh data folder and on free ports."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from luthier.settings import ENVIRONMENT_PREFIX, Settings

READY_SECONDS = 90.0
STOP_SECONDS = 45.0


def free_address(wanted: str, taken: set[str]) -> str:
    """`wanted` where nothing listens there, else the same host with a port that is free."""
    host, _, port = wanted.rpartition(":")
    for candidate in (int(port), 0):
        with socket.socket() as listener, suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, candidate))
            address = f"{host}:{listener.getsockname()[1]}"
            if address not in taken:
                taken.add(address)
                return address
    raise OSError(f"no port is free at {host}")


@dataclass
class DemoServer:
    """A context manager; `settings` says where it listens, `exports` is what the first start told us to set."""

    data_dir: Path
    settings: Settings = field(init=False)
    exports: dict[str, str] = field(default_factory=dict)
    _ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        default, taken = Settings(), set[str]()
        self.settings = Settings(
            data_dir=self.data_dir,
            http_address=free_address(default.http_address, taken),
            grpc_address=free_address(default.grpc_address, taken),
            grpc_tls_address=free_address(default.grpc_tls_address, taken),
        )

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "luthier", "serve"],
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            text=True,
            env=self._environment(),
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        end = time.monotonic() + READY_SECONDS
        while not self._ready.wait(0.1):
            if self._process.poll() is not None or time.monotonic() > end:
                self._stop()
                raise RuntimeError(
                    f"the server did not start; its messages:\n{self.log.read_text(errors='replace')[-3000:]}"
                )
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop()

    @property
    def log(self) -> Path:
        return self.data_dir.parent / "serve.log"

    def _environment(self) -> dict[str, str]:
        """Ours without any setting of the user's own server, so that the demo runs the same everywhere."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
        names = ("data_dir", "http_address", "grpc_address", "grpc_tls_address")
        return kept | {ENVIRONMENT_PREFIX + name.upper(): str(getattr(self.settings, name)) for name in names}

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            words = shlex.split(line, comments=True) if line.lstrip().startswith("export ") else []
            if words:
                name, _, value = words[1].partition("=")
                self.exports[name] = value
            if "is ready." in line:
                self._ready.set()

    def _stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
