"""Makes small run folders for the engine's tests and runs the engine on them, in this process or in one of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from luthier.catalog.model_type import find_template
from luthier.engine.checkpoint import sha256
from luthier.engine.journal import Journal
from luthier.engine.process import StopRequest, failure
from luthier.engine.train import train
from luthier.runs.events import Event, Failed, Finished, Stopped, event_from_line
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from luthier.runs.run import RunConcept, RunFolder, RunSpec

Pictures = Sequence[tuple[str, bytes]]  # (label, encoded)
CLASSES = tuple(str(digit) for digit in range(10))


def examples_of(
    folder: Path, pictures: Pictures, splits: Sequence[str] = ("train",) * 8 + ("val", "test")
) -> list[Example]:
    """Writes the pictures into `folder`; splits go round in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for number, (label, data) in enumerate(pictures):
        file = folder / f"{number:05}.png"
        file.write_bytes(data)
        split = splits[number % len(splits)]
        examples.append(
            Example(id=f"input-{number}", blob=f"{number:064x}", split=split, labels={label: 1}, path=str(file))
        )
    return examples


QUICK = {  # for digits of 8 pixels, which need little
    "image_size": 32, "num_epochs": 12, "batch_size": 64, "crop_scale_min": 1.0, "rotate_degrees": 0.0,
    "label_smoothing": 0.0, "warmup_iters": 20, "weight_decay": 0.01,
}  # fmt: skip


def spec_of(
    name: str,
    template: str = "luthier_tiny_resnet",
    given: dict[str, Any] | None = None,
    concepts: Sequence[str] = CLASSES,
    plan: dict[str, Any] | None = None,
    model_type: str = "visual-classifier",
    **changes: Any,
) -> RunSpec:
    """The spec that the platform would write; `plan` and `changes` overlay its plan and its fields."""
    chosen = find_template(model_type, template)
    quick = QUICK if template == "luthier_tiny_resnet" else {}
    values = chosen.checked({**quick, **(given or {})})
    spec = RunSpec(
        run=name,
        model_type=model_type,
        template=chosen.id,
        recipe=chosen.recipe,
        backbone=chosen.backbone,
        weights=chosen.weights(values),
        hyperparameters=values,
        plan={**asdict(chosen.plan_for(values)), **(plan or {})},
        concepts=tuple(RunConcept(concept, f"name of {concept}") for concept in concepts),
        seed=7,
        device="cpu",
        threads=1,
        disk_reserve_mb=0,
    )
    return replace(spec, **changes)


def make_run(folder: Path, pictures: Pictures, spec: RunSpec, **kwargs: Any) -> RunFolder:
    return prepare(folder, spec, examples_of(folder.parent / f"{folder.name}-pictures", pictures, **kwargs))


def train_here(run: RunFolder) -> list[Event]:
    """Trains in this process and returns all events, Failed among them."""
    journal = Journal(run, echo=False)
    try:
        train(run, journal, StopRequest(journal), time.monotonic())
    except Exception as error:
        journal.event(failure(error, run))
    return events_of(run)


def stop_here(run: RunFolder) -> int:
    """Trains in this process until the first step has been taken and saved; returns its number."""
    journal = Journal(run, echo=False)
    stop = StopRequest(journal)
    stop.requested = True
    train(run, journal, stop, time.monotonic())
    last = events_of(run)[-1]
    assert isinstance(last, Stopped), last
    return last.step


def finished(events: Sequence[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished), last
    return last


def failed(events: Sequence[Event]) -> Failed:
    last = events[-1]
    assert isinstance(last, Failed), last
    return last


def events_of(run: RunFolder) -> list[Event]:
    """What was written so far; a line that a kill has cut off is left out."""
    if not run.events_file.exists():
        return []
    return [event_from_line(line) for line in run.events_file.read_text().splitlines() if _is_json(line)]


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def start_engine(
    run: RunFolder, *flags: str, module: str = "luthier.engine.train", **kwargs: Any
) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, str(run.path), *flags]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)


def wait_for(
    run: RunFolder, kind: type, process: "subprocess.Popen[bytes]", count: int = 1, seconds: float = 60
) -> None:
    """Until the run has told `count` events of a kind."""
    give_up_at = time.monotonic() + seconds
    while sum(isinstance(event, kind) for event in events_of(run)) < count:
        assert process.poll() is None, (
            f"the engine has ended: {process.stdout.read().decode() if process.stdout else ''}"
        )
        assert time.monotonic() < give_up_at, f"no {kind.__name__} within {seconds} s"
        time.sleep(0.01)


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def hashes_of_weights(run: RunFolder) -> dict[str, str]:
    """SHA-256 of what a finished run leaves to be served and to be gone on from."""
    files: Iterator[Path] = run.checkpoints.glob("*/*.safetensors")
    return {str(file.relative_to(run.checkpoints)): sha256(file) for file in files}
