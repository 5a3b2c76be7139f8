"""What the engine says while it works: one JSON line each in events.jsonl. Next: `launch`, which follows them.

A line is {"event": "StepDone", ...fields}. A resumed run appends after what its predecessor wrote, beginning with a new
`Started`; events of steps done twice appear twice.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

# a report has one of these: what a model is judged by
MAIN_METRICS = ("accuracy", "map", "miou", "recall_at_1", "image_auroc", "perplexity")


@dataclass(frozen=True, slots=True)
class Started:
    """The data is read, the network is built, the first step comes next."""

    step: int  # 0, or the step of the checkpoint that the run goes on from
    total_steps: int
    total_epochs: int
    train_examples: int
    val_examples: int
    test_examples: int
    device: str
    precision: str  # "float32" or "bfloat16"
    batch_size: int
    parameters: int
    trainable_parameters: int
    seconds: float  # since the process began


@dataclass(frozen=True, slots=True)
class StepDone:
    """Optimizer steps up to `step` are done. Sent at most twice a second, and at the last step of each epoch."""

    step: int
    total_steps: int
    epoch: int  # from 1
    loss: float
    learning_rate: float
    examples_per_second: float
    seconds: float  # of training so far, this process
    seconds_left: float


@dataclass(frozen=True, slots=True)
class EpochDone:
    epoch: int
    total_epochs: int
    step: int
    train_loss: float
    seconds: float  # this epoch's training, validation not counted


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Metrics of one split: "val" after an epoch, "test" at the end. Keys as in the report: "accuracy", …"""

    split: str
    epoch: int
    metrics: dict[str, float]
    best: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Checkpointed:
    step: int
    folder: str  # relative to the run folder
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The report is written and the best checkpoint is whole: the run may be published."""

    step: int
    epochs: int
    checkpoint: str  # relative to the run folder: the weights to serve
    metrics: dict[str, float]  # of the test split; empty where there is none
    stopped_early: bool
    seconds: float  # of this process, from its start
    train_seconds: float  # of it, in optimizer steps
    steady_seconds_per_step: float  # median, the first steps left out
    start_seconds: float
    validation_seconds: float
    checkpoint_seconds: float
    samples_per_second: float
    peak_memory_mb: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The run cannot go on. `code` is the wire's status code that names the cause, `details` say cause and remedy.

    `retryable` is true where another attempt may help (out of memory in a neighbour, a full disk).
    """

    code: int
    reason: str
    details: str
    retryable: bool = False
    invalid: list[dict[str, str]] = field(default_factory=list)  # [{"id": …, "reason": …}], the first 20


@dataclass(frozen=True, slots=True)
class Stopped:
    """The engine was asked to stop (SIGTERM) and has saved where it stood."""

    step: int
    epoch: int
    checkpoint: str  # relative to the run folder, "" if there was nothing to save


Event = Started | StepDone | EpochDone | Evaluated | Checkpointed | Finished | Failed | Stopped

_KINDS: dict[str, type] = {
    kind.__name__: kind for kind in (Started, StepDone, EpochDone, Evaluated, Checkpointed, Finished, Failed, Stopped)
}


def event_to_line(event: Event) -> str:
    return json.dumps({"event": type(event).__name__, **asdict(event)}, ensure_ascii=False)


def event_from_line(line: str) -> Event:
    row: dict[str, Any] = json.loads(line)
    event: Event = _KINDS[row.pop("event")](**row)
    return event
