"""The only room with torch. It is started as a process on a run folder; nothing imports it. Read `train` first."""

import os
import time

BORN = time.monotonic()  # of the process, before the libraries that take seconds are imported

# Threads of the numeric library that wait for each other in a loop halve the speed where other programs want the cores
# too: let them sleep after some ten microseconds. Read by the library when it is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
