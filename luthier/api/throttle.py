"""Counts wrong tokens by address, and refuses above a limit. Next: `auth`."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from luthier.errors import Throttled

WRONG_PER_MINUTE = 20
WINDOW_SECONDS = 60.0
MOST_ADDRESSES = 10_000  # the one that was quiet longest is forgotten


class ThrottledWrong(Throttled):
    """Too many requests"""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many wrong tokens from this address; try again in {retry_after} s")
        self.retry_after = retry_after


class Throttle:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, address: str) -> None:
        """One more wrong token; raises ThrottledWrong where there were WRONG_PER_MINUTE in the last minute."""
        now = self._clock()
        with self._lock:
            times = self._times.setdefault(address, deque(maxlen=WRONG_PER_MINUTE))
            self._times.move_to_end(address)
            if len(self._times) > MOST_ADDRESSES:
                self._times.popitem(last=False)
            oldest = times[0] if len(times) == WRONG_PER_MINUTE else None
            if oldest is not None and now - oldest < WINDOW_SECONDS:
                raise ThrottledWrong(int(WINDOW_SECONDS - (now - oldest)) + 1)
            times.append(now)
