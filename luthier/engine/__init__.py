"""The only room with torch. It is started as a process on a run folder; nothing imports it. Read `train` first."""

import time

BORN = time.monotonic()  # of the process, before the libraries that take seconds are imported
