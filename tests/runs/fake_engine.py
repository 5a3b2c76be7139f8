"""An engine that only plays: what to do stands in play.json, in the run folder or above it. For tests without torch.

play.json is a list of attempts, each a list of steps like ["StepDone", 3, 10], ["sleep", 0.5], ["exit", 1], ["kill"].
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from luthier.runs.events import (
    Checkpointed,
    EpochDone,
    Evaluated,
    Event,
    Failed,
    Finished,
    Started,
    StepDone,
    Stopped,
    event_to_line,
)

METRICS = {"accuracy": 0.9, "macro_f1": 0.8}


class Play:
    def __init__(self, run: Path) -> None:
        self.run = run
        self.step = 0
        attempts = run / "attempts"
        with attempts.open("a") as file:
            file.write(f"{os.getpid()}\n")
        self.attempt = len(attempts.read_text().split())
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, number: int, frame: object) -> None:
        self.checkpoint("step-00000001")
        self.event(Stopped(self.step, 1, "checkpoints/step-00000001"))
        os._exit(0)

    def event(self, event: Event) -> None:
        with (self.run / "events.jsonl").open("a") as file:
            file.write(event_to_line(event) + "\n")

    def checkpoint(self, name: str) -> None:
        folder = self.run / "checkpoints" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(b"weights")
        files = {"model.safetensors": hashlib.sha256(b"weights").hexdigest()}
        (folder / "manifest.json").write_text(json.dumps({"run": "r", "step": 1, "files": files}))

    def do(self, name: str, *values: Any) -> None:
        getattr(self, f"do_{name}")(*values)

    def do_started(self, total: int = 10) -> None:
        self.event(Started(0, total, 2, 8, 1, 1, "cpu (fake)", "float32", 4, 10, 10, 0.1))

    def do_step(self, step: int, total: int = 10) -> None:
        self.step = step
        self.event(StepDone(step, total, 1 + step * 2 // (total + 1), 0.21, 0.01, 100.0, 1.0, 5.0))

    def do_epoch(self, epoch: int) -> None:
        self.event(EpochDone(epoch, 2, self.step, 0.3, 1.0))
        self.event(Evaluated("val", epoch, {"accuracy": 0.97}, True, 0.5))

    def do_save(self, name: str = "best") -> None:
        self.checkpoint(name)
        self.event(Checkpointed(self.step, f"checkpoints/{name}", 0.05))

    def do_finish(self, roc_auc: float | None = None) -> None:
        self.checkpoint("best")
        test = METRICS if roc_auc is None else {**METRICS, "roc_auc": float("nan")}
        report = {
            "metrics": {"val": METRICS, "test": test},
            "estimate": {"estimated_seconds": 10.0, "actual_seconds": 5.0},
            "plan": {"epochs": 2},
            "skipped": [],
            "counts": {"examples": {"train": 8, "val": 1, "test": 1}},
        }
        (self.run / "report.json").write_text(json.dumps(report))
        self.event(Finished(10, 2, "checkpoints/best", METRICS, False, 5.0, 4.0, 0.4, 0.1, 0.5, 0.1, 20.0, 100.0))

    def do_finish_damaged(self) -> None:
        self.do_finish()
        (self.run / "checkpoints" / "best" / "model.safetensors").write_bytes(b"wejghts")

    def do_fail(self, code: int, reason: str, details: str, retryable: bool = False) -> None:
        self.event(Failed(code, reason, details, retryable))
        sys.exit(1)

    def do_print(self, text: str) -> None:
        print(text, flush=True)

    def do_raw(self, text: str) -> None:
        with (self.run / "events.jsonl").open("a") as file:
            file.write(text)

    def do_sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def do_exit(self, code: int) -> None:
        os._exit(code)

    def do_kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def do_deaf(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def do_child(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (self.run / "child").write_text(str(child.pid))

    def do_environment(self) -> None:
        (self.run / "environment.json").write_text(json.dumps(dict(os.environ)))


def play(run: Path) -> None:
    found = next(path for path in (run / "play.json", run.parent / "play.json") if path.exists())
    attempts = json.loads(found.read_text())
    player = Play(run)
    for step in attempts[min(player.attempt, len(attempts)) - 1]:
        player.do(*step)


def lifeline() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def main() -> None:
    run = Path(sys.argv[1])
    if sys.argv[1] == "--standby":
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(0, 1)
            if not byte:
                os._exit(0)
            line += byte
        run = Path(json.loads(line)["run"])
        (run / "warm").touch()
    threading.Thread(target=lifeline, daemon=True).start()
    play(run)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
