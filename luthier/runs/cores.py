"""How many threads numeric work may take here; engine and worker have to agree, as costs are kept by it."""

import contextlib
import math
import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # what a container sees: microseconds of processor time, of how many


def available_threads() -> int:
    """Cores that this process may use, by its affinity and its container's limit; fewer if OMP_NUM_THREADS says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no limit reads "max 100000"
        time, period = CGROUP_LIMIT.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(time) / int(period)))
    wished = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return max(1, min(cores, int(wished))) if wished.isdecimal() else max(1, cores)
