"""How a process that serve started learns that serve is gone: its stdin closes. Then it ends in good order."""

import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import click

DRAIN_SECONDS = 40.0  # longer than any process takes to end in good order


def hold() -> None:
    """Ends this process as SIGTERM does when stdin closes, and at once where that takes too long."""
    threading.Thread(target=_wait, name="lifeline", daemon=True).start()


def _wait() -> None:
    main = threading.main_thread().ident or 0
    while os.read(sys.stdin.fileno(), 4096):
        pass
    # to the main thread, which may be asleep: the kernel would give os.kill's signal to this one and leave it asleep
    signal.pthread_kill(main, signal.SIGTERM)
    timer = threading.Timer(DRAIN_SECONDS, os._exit, args=(1,))
    timer.daemon = True
    timer.start()


def ready_signal(fd: int | None) -> Callable[[], None]:
    """A function that tells serve, once, that this process is ready."""

    def tell() -> None:
        if fd is not None:
            os.write(fd, b"+")
            os.close(fd)

    return tell


def as_process(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Gives a command the hidden options that serve starts it with, and calls it with `on_ready`."""

    @click.option("--supervised", is_flag=True, hidden=True, help="End when stdin closes: serve started this.")
    @click.option("--ready-fd", type=int, hidden=True, help="Where to write one byte when ready.")
    @click.option("--quiet", is_flag=True, help="Log warnings and errors only.")
    @functools.wraps(command)
    def with_lifeline(
        *arguments: Any, supervised: bool, ready_fd: int | None, quiet: bool, **options: Any
    ) -> int | None:
        if quiet:
            logging.disable(logging.INFO)
        if supervised:
            hold()
        return command(*arguments, on_ready=ready_signal(ready_fd), **options)

    return with_lifeline
