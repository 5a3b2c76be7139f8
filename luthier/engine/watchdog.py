"""Ends an engine that hangs between two steps, as in a loader that waits for ever: stacks to the log, exit code 1.

The clock is faulthandler's own thread, which runs where Python does not. The worker then starts the run again, which
goes on from its last checkpoint. Next: `process`, which enables it; what runs inside another program is not watched.
"""

import faulthandler
import statistics
import time
from collections.abc import Sequence

MEDIANS = 10  # a step that takes so many times as long as others hangs, if it takes the least seconds too
KNOWN_STEPS = 3  # before that nobody can say what is long
RECENT_STEPS = 100
SECONDS_BETWEEN_SETTINGS = 1.0


class Watchdog:
    """Off until it is enabled."""

    def __init__(self) -> None:
        self._least_seconds = 0.0
        self._set_at = 0.0

    def enable(self, least_seconds: float) -> None:
        """From now on a hang is what takes `least_seconds` or more; 0: nothing is."""
        self._least_seconds = least_seconds

    def stepped(self, seconds: Sequence[float]) -> None:
        """A step has ended, the next one is waited for; `seconds` are what the steps so far took."""
        now = time.monotonic()
        if not self._least_seconds or len(seconds) < KNOWN_STEPS or now - self._set_at < SECONDS_BETWEEN_SETTINGS:
            return
        self._set_at = now
        patience = max(self._least_seconds, MEDIANS * statistics.median(seconds[-RECENT_STEPS:]))
        faulthandler.dump_traceback_later(patience + SECONDS_BETWEEN_SETTINGS, exit=True)

    def rest(self) -> None:
        """Something else than steps is done, which may take its time."""
        if self._set_at:
            faulthandler.cancel_dump_traceback_later()
        self._set_at = 0.0
