"""A predictors process of its own, which starts `fake_model` instead of the engine; and looking after processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from luthier.predictors.client import PredictorsClient

ROOT = Path(__file__).parent.parent.parent
FAKE = "tests.predictors.fake_model"
START = """
import json, logging, sys
from pathlib import Path
from luthier.predictors.server import run
from luthier.settings import Settings
logging.basicConfig(level="INFO")
settings = Settings(data_dir=Path(sys.argv[1]), loaded_models=2, **json.loads(sys.argv[3]))
run(settings, lambda: print("ready", flush=True), sys.argv[2])
"""


class Predictors:
    def __init__(self, data: Path, module: str = FAKE, **settings: object) -> None:
        self.settings = settings
        self.data = data
        self.module = module
        self.socket = data / "predictors.sock"
        self.client = PredictorsClient(self.socket)
        self.start()

    def start(self) -> None:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(self.data), self.module, json.dumps(self.settings)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        assert self.process.stdout and self.process.stdout.readline() == b"ready\n"

    def end(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()


def pids(run: Path) -> list[int]:
    """Of every process that loaded this run, the newest last."""
    file = run / "starts"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
