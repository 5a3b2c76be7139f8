"""A whole server (`luthier serve`) over a world of Bob's, for what sends it nonsense. Next: `messages`, `rest`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.api.world import BOB, make_world
from tests.e2e.conftest import Server, new_server

# No trainings side by side with the fuzzing, and no throttling by what it queues.
SETTINGS = {"warm_start": "0", "disk_reserve_mb": "1", "queued_jobs_per_user": "2", "training_threads": "1"}


@dataclass
class Target:
    server: Server
    token: str

    @property
    def log(self) -> str:
        return (self.server.data_dir.parent / "server.log").read_text(errors="replace")

    def faults(self) -> list[str]:
        """What the server's own log calls a failure, with its traceback; [] after a good run."""
        found: list[str] = []
        for line in self.log.splitlines():
            if " ERROR " in line:
                found.append(line)
            elif found and line.startswith("    "):
                found[-1] += f"\n{line}"
        if self.server.process is None or self.server.process.poll() is not None:
            found.append("the server has ended")
        return found


@contextmanager
def target(folder: Path, database_url: str = "") -> Iterator[Target]:
    more = {"database_url": database_url} if database_url else {}
    server = new_server(folder, **SETTINGS, **more)
    world, keys = make_world(server.data_dir, database_url)
    world.database.close()
    server.user_id, server.token = BOB, keys[BOB]
    server.start()
    try:
        yield Target(server, keys[BOB])
    finally:
        server.stop()
