"""`python -m tests.worker.worker_process DATA_FOLDER NAME DATABASE_URL`: `luthier worker`, its engine plays."""

import functools
import sys
from pathlib import Path

from luthier.settings import Settings
from luthier.worker import loop

ENGINE = "tests.runs.fake_engine"


def main() -> int:
    folder, name, url = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    # only the engine is another one, and nobody measures it
    loop.Worker = functools.partial(loop.Worker, engine=ENGINE, introduce=False)  # type: ignore[misc,assignment]
    short = {"heartbeat_seconds": 0.2, "lease_seconds": 3.0}
    kept = {"warm_start": False, "disk_reserve_mb": 0}
    return loop.run(Settings(data_dir=folder, database_url=url, offline=True, **kept, **short), name)


if __name__ == "__main__":
    sys.exit(main())
