"""What is told at the start, on the way and at the end of a training: events, report.json and lines of the log."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.engine import loading
from luthier.engine.devices import peak_memory_mb
from luthier.engine.journal import duration, table
from luthier.engine.optim import warmup_steps
from luthier.engine.session import Session
from luthier.runs.events import Finished, Started, StepDone
from luthier.runs.manifest import SPLITS

if TYPE_CHECKING:
    from luthier.engine.evaluate import Judged
    from luthier.engine.forgetting import Forgetting

LONGEST_LIST = 20


def started(session: Session) -> Started:
    session.timings.start = time.monotonic() - session.timings.born
    parameters = list(session.network.parameters())
    return Started(
        step=session.progress.step,
        total_steps=session.total_steps,
        total_epochs=session.plan.epochs,
        train_examples=session.train_examples,
        val_examples=len(session.data.splits["val"]),
        test_examples=len(session.data.splits["test"]),
        device=session.device.name,
        precision=session.device.precision,
        batch_size=session.step_size,
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        seconds=session.timings.start,
    )


def step_done(session: Session, loss: float, rate: float, seconds: float) -> StepDone:
    timings, progress = session.timings, session.progress
    recent = timings.steps[-20:]
    per_step = sum(recent) / len(recent)
    validations = session.plan.epochs - progress.epoch
    per_validation = timings.validation / max(1, len(timings.steps) // session.steps_per_epoch)
    return StepDone(
        step=progress.step,
        total_steps=session.total_steps,
        epoch=progress.epoch + 1,
        loss=loss,
        learning_rate=rate,
        examples_per_second=session.step_size / per_step,
        seconds=seconds,
        seconds_left=(session.total_steps - progress.step) * per_step + validations * per_validation,
    )


def finish(session: Session, split: str, judged: "Judged | None", forgotten: "Forgetting | None") -> Finished:
    """Writes report.json and says that all is done."""
    timings, progress = session.timings, session.progress
    train_seconds = sum(timings.steps)
    metrics = judged.scores.metrics if judged and split == "test" else {}
    event = Finished(
        step=progress.step,
        epochs=progress.epoch,
        checkpoint="checkpoints/best",
        metrics=metrics,
        stopped_early=progress.epoch < session.plan.epochs,
        seconds=time.monotonic() - timings.born,
        train_seconds=train_seconds,
        steady_seconds_per_step=0.0 if session.features else timings.steady_step(),  # of the head alone: not told
        start_seconds=timings.start,
        validation_seconds=timings.validation,
        checkpoint_seconds=timings.checkpoints,
        samples_per_second=len(timings.steps) * session.step_size / train_seconds if train_seconds else 0.0,
        peak_memory_mb=peak_memory_mb(session.device),
    )
    write_json(
        session.run.report_file,
        {
            **_judged(split, judged, progress.best_metrics),
            **({"forgetting": asdict(forgotten)} if forgotten else {}),
            **_facts(session),
            **_costs(session, event),
        },
    )
    return event


def write_json(file: Path, report: dict[str, Any]) -> None:
    """By rename: a reader finds a whole file or none."""
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(file)


def _judged(split: str, judged: "Judged | None", validation: dict[str, float]) -> dict[str, Any]:
    metrics = {"val": validation} if validation else {}
    if judged:
        metrics[split] = judged.scores.metrics
    return {
        "metrics": metrics,
        "judged_split": split,
        "per_concept": judged.scores.per_concept if judged else [],
        "confusion": judged.scores.confusion if judged else [],
    }


def _facts(session: Session) -> dict[str, Any]:
    return {
        "concepts": [asdict(concept) for concept in session.spec.concepts],
        "counts": counts(session),
        "skipped": [{"id": row.id, "reason": row.reason} for row in session.data.rejections.rows.values()],
        "template": session.spec.template,
        "backbone": session.spec.backbone,
        "weights": session.spec.weights,
        "plan": {**asdict(session.plan), **effective(session)},
        "seed": session.spec.seed,
        "device": session.device.name,
        "precision": session.device.precision,
        "threads": session.device.threads,
    }


def _costs(session: Session, event: Finished) -> dict[str, Any]:
    return {
        "epochs": event.epochs,
        "best_epoch": session.progress.best_epoch,
        "stopped_early": event.stopped_early,
        "feature_cache": _cached(session),
        "steps": event.step,
        "seconds": event.seconds,
        "samples_per_second": event.samples_per_second,
        "peak_memory_mb": event.peak_memory_mb,
        "estimate": {"estimated_seconds": session.spec.estimated_seconds, "actual_seconds": event.seconds},
    }


def _cached(session: Session) -> dict[str, Any]:
    """What a frozen backbone was asked once instead of in every epoch; empty where it was not."""
    if session.features is None:
        return {}
    return {"examples": session.features.computed, "seconds": session.features.seconds}


def counts(session: Session) -> dict[str, Any]:
    """Usable examples by split, and positives by concept and split."""
    splits = session.data.splits
    per_concept = {c.id: {name: splits[name].positives[c.id] for name in SPLITS} for c in session.spec.concepts}
    return {"examples": {name: len(splits[name]) for name in SPLITS}, "positives": per_concept}


def effective(session: Session) -> dict[str, Any]:
    """What differs from the plan because of the data."""
    prepared = {"text_preparation": session.spec.text_preparation} if session.spec.text_preparation else {}
    return {
        **prepared,
        "batch_size": session.batch_size,
        "step_size": session.step_size,
        "micro_batch": session.micro_batch,
        "warmup_steps": warmup_steps(session.total_steps, session.plan),
        "steps_per_epoch": session.steps_per_epoch,
        "total_steps": session.total_steps,
        **_padding(session),
    }


def _padding(session: Session) -> dict[str, Any]:
    """How much of the first epoch's batches is padding, where examples differ in size and each has a row of its own."""
    sizes = session.data.sizes("train")
    if not sizes or getattr(session.plan, "packing", False):
        return {}
    steps = loading.training_chunks(
        session.train_examples,
        session.step_size,
        session.examples_per_epoch,
        seed=session.spec.seed,
        epoch=0,
        sizes=sizes,
        alike=session.data.alike if session.plan.balanced_sampling else (),
    )
    parts = [[sizes[index] for index in part] for step in steps for part in loading.evenly(step, session.batch_size)]
    padded = sum(max(part) * len(part) for part in parts)
    return {"padding_percent": round(100 * (1 - sum(map(sum, parts)) / padded), 1) if padded else 0.0}


# -- lines for a person ------------------------------------------------------------------------------------------------


def introduction(session: Session) -> str:
    """What was read and what will be done with it."""
    spec, plan = session.spec, session.plan
    start = f"weights {spec.weights}" if spec.weights else "random weights"
    lines = [
        f"Template {spec.template}: {spec.backbone} from {start}, seed {spec.seed}, {session.device.threads} threads.",
        "Examples read, by concept and split:",
        _count_table(session),
        *_skipped_lines(session),
        *_cut_lines(session),
        "Plan: "
        + ", ".join(
            f"{key} {_short(value)}" for key, value in {**asdict(plan), **effective(session)}.items() if key != "notes"
        ),
        *(f"Note: {note}." for note in plan.notes),
        *_adjustments(session),
    ]
    return "\n".join(lines)


def _cut_lines(session: Session) -> list[str]:
    """How many texts are too long for the model, before any time is spent on them."""
    cut = session.data.cut("train")
    if not cut.texts:
        return []
    return [
        f"{cut.texts} of {session.train_examples} texts are longer than the {cut.limit} tokens that are read of each: "
        f"{cut.lost} of {cut.tokens} tokens ({100 * cut.lost / cut.tokens:.1f} %) are left out. A larger max_tokens "
        "reads more, up to what the base model allows."
    ]


def farewell(session: Session) -> str:
    """At the end: what could not be used, and the estimate against what it took."""
    lines = _skipped_lines(session)
    estimated, actual = session.spec.estimated_seconds, time.monotonic() - session.timings.born
    if estimated > 0:
        off = 100 * (estimated - actual) / actual
        direction = "high" if off > 0 else "low"
        lines.append(f"Estimated {duration(estimated)}, took {duration(actual)}: {abs(off):.0f} % too {direction}.")
    return "\n".join(lines)


def _count_table(session: Session) -> str:
    per_concept = counts(session)["positives"]
    shown = list(per_concept.items())[:LONGEST_LIST]
    rows = [["concept", *SPLITS], *([name, *(row[split] for split in SPLITS)] for name, row in shown)]
    if len(per_concept) > LONGEST_LIST:
        rows.append([f"({len(per_concept) - LONGEST_LIST} more concepts)", "", "", ""])
    rows.append(["examples", *(len(session.data.splits[split]) for split in SPLITS)])
    return table(rows)


def _skipped_lines(session: Session) -> list[str]:
    rows = list(session.data.rejections.rows.values())
    if not rows:
        return []
    lines = [f"{len(rows)} of {session.data.rejections.total} inputs are skipped:"]
    lines += [f"  {row.id}: {row.reason}" for row in rows[:LONGEST_LIST]]
    return lines + ([f"  and {len(rows) - LONGEST_LIST} more, see the report"] if len(rows) > LONGEST_LIST else [])


def _adjustments(session: Session) -> list[str]:
    lines = []
    if session.step_size < session.batch_size * session.plan.accumulate:
        lines.append(
            f"Note: accumulate {session.plan.accumulate} times batch_size {session.batch_size} is more than there are "
            f"examples: a step has all {session.step_size} of them."
        )
    if session.batch_size < session.plan.batch_size:
        lines.append(
            f"Note: batch_size {session.plan.batch_size} is more than there are examples: {session.batch_size} is used."
        )
    warmup = warmup_steps(session.total_steps, session.plan)
    if warmup < session.plan.warmup_steps:
        lines.append(f"Note: warm-up of {session.plan.warmup_steps} steps is cut to {warmup}, a tenth of all steps.")
    for split, meaning in (("val", "the last weights are served"), ("test", "no test metrics are given")):
        if not len(session.data.splits[split]):
            lines.append(f"Note: there are no {split} examples: {meaning}.")
    return lines


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
