"""What the engine says: events for programs (events.jsonl), lines for people (log.txt). Next: `runs/events`."""

import threading
import time
from typing import IO, Any

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
from luthier.runs.run import RunFolder

SECONDS_BETWEEN_STEP_LINES = 10.0


class Journal:
    """Appends to the run folder's files. `echo`: lines go to standard output too, as a person has started the run."""

    def __init__(self, run: RunFolder, *, echo: bool) -> None:
        self._events: IO[bytes] = run.events_file.open("ab")
        self._log = run.log_file.open("a", encoding="utf-8")
        self._echo = echo
        self._lock = threading.Lock()
        self._step_line_due = 0.0
        if run.events_file.stat().st_size and not _ends_with_newline(run):
            self._events.write(b"\n")  # the predecessor was killed in mid-line

    def event(self, event: Event) -> None:
        with self._lock:
            self._events.write(event_to_line(event).encode() + b"\n")
            self._events.flush()
        line = self._told(event)
        if line:
            self.log(line)

    def log(self, text: str) -> None:
        with self._lock:
            stamped = "".join(f"{time.strftime('%H:%M:%S')} {line}\n" for line in text.splitlines())
            self._log.write(stamped)
            self._log.flush()
            if self._echo:
                print(stamped, end="", flush=True)

    def _told(self, event: Event) -> str:
        if not isinstance(event, StepDone):
            return describe(event)
        now = time.monotonic()
        if now < self._step_line_due:
            return ""
        self._step_line_due = now + SECONDS_BETWEEN_STEP_LINES
        return describe(event)


def describe(event: Event) -> str:
    """One line for a person; "" where there is nothing that the log does not say anyway."""
    match event:
        case Started():
            goes_on = f"Going on from step {event.step}. " if event.step else ""
            return (
                f"{goes_on}Training {event.total_epochs} epochs, {event.total_steps} steps of {event.batch_size}, on "
                f"{event.device} in {event.precision}; {event.train_examples} training, "
                f"{event.val_examples} validation, {event.test_examples} test examples; "
                f"{event.trainable_parameters:,} of {event.parameters:,} parameters are trained. "
                f"Ready after {event.seconds:.1f} s."
            )
        case StepDone():
            return (
                f"Step {event.step}/{event.total_steps} (epoch {event.epoch}): loss {event.loss:.4f}, learning rate "
                f"{event.learning_rate:.3g}, {event.examples_per_second:.1f} examples/s, "
                f"{duration(event.seconds_left)} left."
            )
        case EpochDone():
            return (
                f"Epoch {event.epoch}/{event.total_epochs}: train loss {event.train_loss:.4f} ({event.seconds:.1f} s)."
            )
        case Evaluated():
            best = ", best so far" if event.best and event.split == "val" else ""
            return f"  {event.split}: {in_words(event.metrics)}{best} ({event.seconds:.1f} s)."
        case Checkpointed():
            return ""
        case Finished():
            early = " early, as validation got no better," if event.stopped_early else ""
            return (
                f"Finished{early} after {event.epochs} epochs, {event.step} steps: {duration(event.seconds)} in all, "
                f"{duration(event.train_seconds)} of it training ({event.samples_per_second:.1f} examples/s), start "
                f"{event.start_seconds:.1f} s, validation {event.validation_seconds:.1f} s, checkpoints "
                f"{event.checkpoint_seconds:.1f} s; peak memory {event.peak_memory_mb:.0f} MiB."
            )
        case Failed():
            return f"Failed ({event.code} {event.reason}): {event.details}"
        case Stopped():
            return f"Stopped at step {event.step}, epoch {event.epoch}; saved in {event.checkpoint or 'nothing'}."


def in_words(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items())


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _ends_with_newline(run: RunFolder) -> bool:
    with run.events_file.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def table(rows: list[list[Any]]) -> str:
    """Columns of text, aligned; the first to the left, the others to the right."""
    text = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in text) for i in range(len(text[0]))]
    return "\n".join(
        "  "
        + "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in text
    )
