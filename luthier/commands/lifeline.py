"""How a process that serve started learns that serve is gone: its stdin closes. Then it ends in good order."""

import os
import signal
import sys
import threading
from collections.abc import Callable

import click

DRAIN_SECONDS = 40.0  # longer than any process takes to end in good order


def hold() -> None:
    """Ends this process as SIGTERM does when stdin closes, and at once where that takes too long."""
    threading.Thread(target=_wait, name="lifeline", daemon=True).start()


def _wait() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    timer = threading.Timer(DRAIN_SECONDS, os._exit, args=(1,))
    timer.daemon = True
    timer.start()


supervised = click.option("--supervised", is_flag=True, hidden=True, help="End when stdin closes: serve started this.")
ready_fd = click.option("--ready-fd", type=int, hidden=True, help="Where to write one byte when ready.")


def ready_signal(fd: int | None) -> Callable[[], None]:
    """A function that tells serve, once, that this process is ready."""

    def tell() -> None:
        if fd is not None:
            os.write(fd, b"+")
            os.close(fd)

    return tell
