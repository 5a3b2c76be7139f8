"""What a finished run brings: the results of a version, and a calibration from its real steps. Next: `training_job`."""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from luthier.catalog.model_type import find_template
from luthier.runs.events import Event, Finished, event_from_line
from luthier.runs.run import RunFolder, RunSpec
from luthier.settings import Settings
from luthier.store.calibrations import Calibration
from luthier.store.versions import Version
from luthier.worker import checkpoints
from luthier.worker.device import device_key, image_size_of
from luthier.worker.following import Seen

LISTED_SKIPPED = 1000
_KEPT = (  # of the report, as it is
    *("estimate", "plan", "epochs", "best_epoch", "stopped_early", "steps", "seconds", "samples_per_second"),
    *("peak_memory_mb", "counts", "per_concept", "forgetting", "weights", "seed", "device", "precision", "threads"),
)


@dataclass(frozen=True)
class Published:
    checkpoint: str
    results: dict[str, Any]
    input_count: int


def of(run: RunFolder, seen: Seen) -> Published:
    """What is to be published; raises CorruptFile where the checkpoint or the report is not whole."""
    if seen.finished is None:
        raise ValueError("only a finished run is published")
    checkpoints.verify(run.path / seen.finished.checkpoint)
    report = run.report()
    skipped = report.get("skipped", [])
    results = {
        "metrics": report.get("metrics", {}).get("test", {}),
        "val_metrics": report.get("metrics", {}).get("val", {}),
        "skipped": skipped[:LISTED_SKIPPED],
        "skipped_count": len(skipped),
        **{key: report[key] for key in _KEPT if key in report},
    }
    examples = sum(report.get("counts", {}).get("examples", {}).values())
    return Published(seen.finished.checkpoint, _finite(results), examples + len(skipped))


def finished_before(run: RunFolder) -> Seen | None:
    """What an earlier attempt saw, where that attempt finished and everything it left is whole."""
    seen = Seen()
    for event in _events(run):
        seen.add(event)
    if seen.finished is None or not run.report_file.exists() or not isinstance(_last(run), Finished):
        return None
    return seen if checkpoints.usable(run) == seen.finished.checkpoint else None


def calibration(settings: Settings, version: Version, spec: RunSpec, seen: Seen) -> Calibration | None:
    """What the real steps cost; None where there were too few to tell."""
    finished, started = seen.finished, seen.started
    if finished is None or started is None or finished.steady_seconds_per_step <= 0:
        return None
    template = find_template(version.model_type, spec.template)
    if template.embedder:  # its steps say nothing of other trainings, nor of what a transfer costs
        return None
    return Calibration(
        template=spec.template,
        model_type=spec.model_type,
        image_size=image_size_of(spec.hyperparameters),
        batch_size=started.batch_size,
        device=device_key(started.device, settings.training_threads),
        seconds_per_step=finished.steady_seconds_per_step,
        seconds_per_validation_item=_median(seen.item_seconds),
        start_seconds=finished.start_seconds,
        checkpoint_seconds=_median(seen.checkpoint_seconds),
        gflops_per_item=template.gflops_for(spec.hyperparameters, float(version.request.get("text_bytes", 0.0))),
    )


def _finite(value: Any) -> Any:
    """Without the numbers that are none: a metric that cannot be computed (a class the split lacks) is left out."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items() if not _is_no_number(item)}
    if isinstance(value, list):
        return [None if _is_no_number(item) else _finite(item) for item in value]
    return value


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


def _events(run: RunFolder) -> Iterator[Event]:
    if not run.events_file.exists():
        return
    with run.events_file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield event_from_line(line)
            except (ValueError, KeyError, TypeError):  # cut off by a kill
                continue


def _last(run: RunFolder) -> Event | None:
    last = None
    for event in _events(run):
        last = event
    return last
