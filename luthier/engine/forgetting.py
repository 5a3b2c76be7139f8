"""What a model forgot when it was trained on: its parent's test split, judged with the weights before and after.

Called at the end of a training that started from another run (`spec.resume_from`). Next: `evaluate`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from luthier.data.replay import key_of
from luthier.engine import loading
from luthier.engine.devices import out_of_memory
from luthier.engine.evaluate import Judged, judge_split, load_served
from luthier.engine.journal import table
from luthier.engine.recipe import Recipe
from luthier.engine.session import Session
from luthier.errors import LuthierError, NoTrainingData
from luthier.runs.manifest import read_manifest, write_manifest
from luthier.runs.run import RunFolder, RunSpec

SCORES = ("f1", "ap", "iou", "recall_at_1", "image_auroc")  # a concept's score is the first of these that its row has
FELL = 0.02  # a fall of a score that is more than the noise of a test split
LONGEST_LIST = 20


@dataclass(frozen=True)
class Forgetting:
    """`before`: metrics of the parent's weights on `examples` of its test split, `after`: those of the new ones.

    `per_concept` has a row for each concept that both know: {"id", "before", "after"}, None where none is labelled.
    """

    parent: str
    examples: int
    before: dict[str, float]
    after: dict[str, float]
    per_concept: list[dict[str, Any]]
    remedy: str  # "" where nothing fell


def forgetting(session: Session) -> Forgetting | None:
    """None for a training that started from no other run, and where it cannot be told, which the log says with why.

    A trained model is never lost for it: the parent may have been deleted, or memory be too small for two networks.
    """
    if not session.spec.resume_from:
        return None
    try:
        return _measured(session)
    except LuthierError as error:
        reason = error.details
    except OSError as error:
        reason = str(error)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        reason = "there is not enough memory to hold the model it started from as well"
    session.device.release_memory()
    session.log(f"Whether the model forgot anything is unknown: {reason}.")
    return None


def _measured(session: Session) -> Forgetting:
    checkpoint = Path(session.spec.resume_from)
    parent = RunFolder(checkpoint.parents[1])
    asked = session.run.path / "parent_test.jsonl"
    if not _write_unseen(parent, session.run, asked):
        raise NoTrainingData(f"{parent.path.name} left no test examples that were not trained on since")
    spec = replace(parent.spec(), blob_folder=session.spec.blob_folder)
    recipe, network = load_served(spec, checkpoint, session.device)
    before = _judged(session, asked, spec, recipe, network)
    after = _judged(session, asked, session.spec, session.recipe, session.served)
    report = compare(parent.spec().run, before, after, session.spec.replay_percent)
    session.log(in_words(report))
    return report


def compare(parent: str, before: Judged, after: Judged, replayed: float) -> Forgetting:
    rows = {row["id"]: row for row in after.scores.per_concept}
    per_concept = [
        {"id": row["id"], "before": _score(row), "after": _score(rows[row["id"]])}
        for row in before.scores.per_concept
        if row["id"] in rows
    ]
    fell = [row["id"] for row in per_concept if (row["before"] or 0) - (row["after"] or 0) > FELL]
    remedy = _remedy(fell, replayed) if fell else ""
    return Forgetting(parent, before.examples, before.scores.metrics, after.scores.metrics, per_concept, remedy)


def in_words(report: Forgetting) -> str:
    """For the log: a row for each concept, those that fell most first."""
    rows = sorted(report.per_concept, key=lambda row: (row["after"] or 0) - (row["before"] or 0))
    shown = [[row["id"], _short(row["before"]), _short(row["after"])] for row in rows[:LONGEST_LIST]]
    metrics = [[name, _short(value), _short(report.after.get(name))] for name, value in report.before.items()]
    lines = [
        f"On {report.examples} test examples of {report.parent}, which this training started from:",
        table([["", "before", "after"], *shown, *metrics]),
        *([report.remedy] if report.remedy else []),
    ]
    return "\n".join(lines)


def _write_unseen(parent: RunFolder, run: RunFolder, to: Path) -> int:
    """The parent's test examples that have not been trained on since, as a manifest; how many there are."""
    if not parent.manifest_file.exists():
        return 0
    seen = {key_of(example) for example in read_manifest(run.manifest_file) if example.split == "train"}
    kept = (
        example
        for example in read_manifest(parent.manifest_file)
        if example.split == "test" and not example.invalid and key_of(example) not in seen
    )
    return write_manifest(to, kept)


def _judged(session: Session, manifest: Path, spec: RunSpec, recipe: Recipe, network: nn.Module) -> Judged:
    tolerant = replace(spec, invalid_data_tolerance_percent=100.0)  # what is gone since is not asked
    data = loading.Data(manifest, tolerant, recipe, session.device.threads)
    try:
        return judge_split(recipe, network, session.device, data, "test", session.batch_size)
    finally:
        data.close()


def _score(row: dict[str, Any]) -> float | None:
    return next((row[name] for name in SCORES if name in row), None)


def _remedy(fell: list[str], replayed: float) -> str:
    more = f" and {len(fell) - LONGEST_LIST} more" if len(fell) > LONGEST_LIST else ""
    names = ", ".join(fell[:LONGEST_LIST]) + more
    if replayed:
        return f"Fell: {names}. Raise replay_percent above {replayed:g}, or train with a smaller learning rate."
    return (
        f"Fell: {names}. Set replay_percent, for example to 20, to mix in that share of the data they were learnt from."
    )


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
