"""What every kind of job is given. Next: `loop`, which makes it."""

import threading
from dataclasses import dataclass

from luthier.runs.launch import Standby
from luthier.runs.run import RunFolder
from luthier.settings import Settings
from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.store.jobs import Job
from luthier.worker.lease import Lease


@dataclass(frozen=True)
class Work:
    job: Job
    lease: Lease
    database: Database
    blobs: Blobs
    settings: Settings
    standby: Standby
    at_once: threading.Event  # set by a second SIGTERM: no grace for anyone
    worker: str  # this worker's name

    def run_folder(self, name: str) -> RunFolder:
        return RunFolder(self.settings.runs_folder.absolute() / name)
