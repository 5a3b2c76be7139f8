"""What `luthier train` shows: the data it read, a progress bar with loss and metrics, the result. Next: `train`."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from luthier.commands.durations import spell
from luthier.data.check import concepts_of
from luthier.runs.events import MAIN_METRICS, EpochDone, Evaluated, Event, Started, StepDone
from luthier.runs.manifest import SPLITS, Example
from luthier.runs.run import RunConcept

MOST_LISTED = 20
PLAIN_SECONDS = 5.0  # between two lines within an epoch where there is no terminal


def console(to_stderr: bool) -> Console:
    """Where people read: stdout, or stderr where stdout is for a program's JSON."""
    return Console(stderr=to_stderr, highlight=False, soft_wrap=not (sys.stderr if to_stderr else sys.stdout).isatty())


@contextmanager
def moving_bar(out: Console, title: str, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar that goes away when the work is done; it gives the function that moves it: (done, in all)."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, console=out, transient=True, disable=not (shown and out.is_terminal)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def show_counts(
    out: Console, examples: Iterable[Example], concepts: Sequence[RunConcept], *, regions: bool = False
) -> None:
    """The table of usable examples per class and split; with `regions` of those that have a region of the class."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    totals: Counter[str] = Counter()
    for example in (example for example in examples if not example.invalid):
        totals[example.split] += 1
        labels = concepts_of(example) if regions else example.labels
        counts[example.split].update(concept for concept, value in labels.items() if value)
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for split in SPLITS:
        table.add_column(split, justify="right")
    for concept in concepts:
        table.add_row(concept.name, *(str(counts[split][concept.id]) for split in SPLITS))
    table.add_row("all", *(str(totals[split]) for split in SPLITS), style="bold")
    out.print(table)


def show_rejected(out: Console, rejected: Sequence[tuple[str, str]]) -> None:
    """Files that cannot be used, each with its reason; the first ones only where there are many."""
    if not rejected:
        return
    out.print(f"Not used: {len(rejected)} file{'s' if len(rejected) != 1 else ''}", style="yellow")
    for path, reason in rejected[:MOST_LISTED]:
        out.print(f"  {path}: {reason}", markup=False)
    if len(rejected) > MOST_LISTED:
        out.print(f"  … and {len(rejected) - MOST_LISTED} more")


def show_metrics(out: Console, title: str, metrics: Mapping[str, object]) -> None:
    shown = [f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items() if isinstance(value, float)]
    out.print(f"{title}: {', '.join(shown)}", style="bold")


class TrainingProgress:
    """Shows events as they come: a bar on a terminal, plain lines elsewhere. A context manager."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._last_line = 0.0
        self._metric = ""
        self._task: TaskID | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[status]}"),
            console=out,
            disable=not out.is_terminal,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task("starting", total=None, status="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        if isinstance(event, Started):
            self._started(event)
        elif isinstance(event, StepDone):
            self._step(event)
        elif isinstance(event, EpochDone):
            self._last_line = time.monotonic()
        elif isinstance(event, Evaluated):
            self._evaluated(event)

    def _started(self, event: Started) -> None:
        going_on = f", going on from step {event.step}" if event.step else ""
        self._out.print(
            f"{event.parameters / 1e6:.1f} million parameters ({event.trainable_parameters / 1e6:.1f} trainable) on "
            f"{event.device} in {event.precision}; {event.total_epochs} epochs of batches of {event.batch_size}, "
            f"{event.total_steps} steps{going_on}; ready after {event.seconds:.1f} s"
        )
        if self._task is not None:
            self._bar.update(self._task, total=event.total_steps, completed=event.step, description="epoch 1")
        self._last_line = time.monotonic()

    def _step(self, event: StepDone) -> None:
        status = (
            f"loss {event.loss:.4f}{self._metric}  {event.examples_per_second:.0f} examples/s  "
            f"{spell(event.seconds_left)} left"
        )
        if self._task is not None:
            self._bar.update(
                self._task,
                completed=event.step,
                total=event.total_steps,
                description=f"epoch {event.epoch}",
                status=status,
            )
        if not self._out.is_terminal and time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._out.print(f"step {event.step}/{event.total_steps}  epoch {event.epoch}  {status}")
            self._last_line = time.monotonic()

    def _evaluated(self, event: Evaluated) -> None:
        if event.split != "val":
            return
        named = next(((name, event.metrics[name]) for name in MAIN_METRICS if name in event.metrics), None)
        self._metric = f"  val {named[0]} {named[1]:.4f}" if named else ""
        loss = event.metrics.get("loss")
        shown_loss = "" if loss is None else f"  val loss {loss:.4f}"
        self._out.print(f"epoch {event.epoch}{shown_loss}{self._metric}{'  best so far' if event.best else ''}")
