"""What is wrong with the data, before any accelerator time is spent on it. Shared by the command line and the worker.

Next: `clean` for what is done about copies of one picture in two splits.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from luthier.data.clean import content_key
from luthier.errors import (
    InsufficientData,
    InvalidDataToleranceExceeded,
    NoPositives,
    NoTrainingData,
    SingleClass,
    shown,
)
from luthier.runs.manifest import SPLITS, Example
from luthier.runs.run import RunConcept

LISTED = 20  # ids or names that a message lists before it says how many more there are
_NUMBERS = re.compile(r"\d[\d.]*(?<!\.)")
IMBALANCE = 100  # positives of the commonest concept per positive of the rarest: above it, a warning


_Row = tuple[str, str, tuple[str, ...]]  # id, split, positive concepts


@dataclass(frozen=True)
class Skipped:
    """An input that is not used, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Copies:
    """The same content under several ids."""

    key: str  # see `clean.content_key`
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    positives: tuple[str, ...]  # ids of the concepts that any of them has


@dataclass
class CheckReport:
    """What was counted. `positives[split][concept id]` counts usable examples that carry the concept."""

    usable: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    positives: dict[str, dict[str, int]] = field(default_factory=lambda: {split: {} for split in SPLITS})
    negatives: dict[str, int] = field(default_factory=dict)  # in train, by concept id
    skipped: list[Skipped] = field(default_factory=list)  # every invalid input
    copies: list[Copies] = field(default_factory=list)  # the same content more than once
    warnings: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.usable.values()) + len(self.skipped)

    @property
    def leaks(self) -> list[Copies]:
        """Copies that sit in more than one split."""
        return [copies for copies in self.copies if len(copies.splits) > 1]

    @property
    def reasons(self) -> dict[str, int]:
        """How many inputs are skipped for each reason, numbers in it left out, the commonest first."""
        return dict(Counter(_NUMBERS.sub("N", skipped.reason) for skipped in self.skipped).most_common())


def count_examples(examples: Iterable[Example], *, regions: bool = False) -> CheckReport:
    """Counts without judging, labels or, with `regions`, the concepts of regions; reads `examples` once."""
    report = CheckReport()
    seen: dict[str, list[_Row]] = defaultdict(list)
    same_tuple: dict[tuple[str, ...], tuple[str, ...]] = {}  # a million examples have few different labels
    for example in examples:
        if example.invalid:
            report.skipped.append(Skipped(example.id, example.invalid))
            continue
        report.usable[example.split] += 1
        positives = _count_labels(report, example.split, concepts_of(example) if regions else example.labels)
        if key := content_key(example):
            seen[key].append((example.id, example.split, same_tuple.setdefault(positives, positives)))
    report.copies = [_copies(key, same) for key, same in seen.items() if len(same) > 1]
    return report


def concepts_of(example: Example) -> dict[str, int]:
    """The concepts that its regions carry, each 1."""
    return {region.concept: 1 for region in example.regions}


def _count_labels(report: CheckReport, split: str, labels: Mapping[str, int]) -> tuple[str, ...]:
    """The concepts that an example carries, once counted."""
    positives = report.positives[split]
    for concept, value in labels.items():
        if value:
            positives[concept] = positives.get(concept, 0) + 1
        elif split == "train":
            report.negatives[concept] = report.negatives.get(concept, 0) + 1
    return tuple(concept for concept, value in labels.items() if value)


def _copies(key: str, rows: Sequence[_Row]) -> Copies:
    return Copies(
        key,
        tuple(id_ for id_, _, _ in rows),
        tuple(split for split in SPLITS if any(split == own for _, own, _ in rows)),
        tuple(sorted({concept for _, _, positives in rows for concept in positives})),
    )


def check_examples(
    examples: Iterable[Example],
    concepts: Sequence[RunConcept],
    tolerance_percent: float = 5.0,
    *,
    mutually_exclusive: bool = True,
    batch_size: int = 0,
    regions: bool = False,
    one_enough: bool = False,
    labelled: bool = True,
) -> CheckReport:
    """Counts, judges and warns; reads `examples` once. `regions`: these are learnt, and one concept is enough.

    `one_enough`: nothing is told apart, as where good pictures alone are learnt; `concepts` are then those of these.
    Not `labelled`: the examples are learnt from as they are, `concepts` are none.

    Raises, in this order: NoTrainingData (nothing there), InvalidDataToleranceExceeded (more than `tolerance_percent`
    of the inputs cannot be used), SingleClass (nothing to tell apart), InsufficientData (fewer training examples than
    concepts, or than two), NoPositives (a concept without a positive training example).
    """
    report = count_examples(examples, regions=regions)
    if report.total == 0:
        raise NoTrainingData(f"there is no input to train on: add {'labelled ' * labelled}inputs and train again")
    check_tolerance(report, tolerance_percent)
    if labelled and not regions and not one_enough:
        _check_concepts(report, concepts, mutually_exclusive)
    _check_train(report, concepts)
    report.warnings = _warnings(report, concepts, mutually_exclusive and not regions, batch_size)
    return report


def check_tolerance(report: CheckReport, tolerance_percent: float) -> None:
    """Raises InvalidDataToleranceExceeded with the counts by reason and the first ids."""
    percent = 100 * len(report.skipped) / report.total
    if percent <= tolerance_percent:
        return
    reasons = "; ".join(f"{count} x {reason}" for reason, count in list(report.reasons.items())[:LISTED])
    raise InvalidDataToleranceExceeded(
        f"{len(report.skipped)} of {report.total} inputs ({percent:.1f} %) cannot be used, the invalid data tolerance "
        f"is {tolerance_percent:g} %. Reasons: {reasons}. Inputs: {listed([s.id for s in report.skipped])}. "
        "Remove or replace them, or raise invalid_data_tolerance_percent"
    )


def _check_concepts(report: CheckReport, concepts: Sequence[RunConcept], mutually_exclusive: bool) -> None:
    if len(concepts) >= 2:
        return
    names = ", ".join(shown(concept.name) for concept in concepts) or "none"
    if mutually_exclusive or not concepts:
        raise SingleClass(
            f"there is {len(concepts)} concept ({names}); at least 2 are needed: label inputs with another"
        )
    if not report.negatives.get(concepts[0].id):
        raise SingleClass(
            f"{names} is the only concept and no training input is labelled as not {names}; "
            "give negative examples or a second concept"
        )


def _check_train(report: CheckReport, concepts: Sequence[RunConcept]) -> None:
    count, minimum = report.usable["train"], max(2, len(concepts))
    if count == 0:
        raise NoTrainingData(f"none of the {report.total} inputs can be trained on: {_where(report)}")
    if count < minimum:
        of_concepts = f" for {len(concepts)} concepts" if concepts else ""
        raise InsufficientData(
            f"{count} training example{'s' if count > 1 else ''}{of_concepts}; at least {minimum} are needed: add "
            f"{'labelled ' if concepts else ''}inputs ({_where(report)})"
        )
    missing = [concept.name for concept in concepts if not report.positives["train"].get(concept.id)]
    if missing:
        raise NoPositives(
            f"{len(missing)} of {len(concepts)} concepts have no positive training example: {listed(missing)}. "
            "Label inputs with them or leave them out"
        )


def _where(report: CheckReport) -> str:
    parts = [f"{report.usable[split]} in {split}" for split in SPLITS] + [f"{len(report.skipped)} unusable"]
    return ", ".join(parts)


def _warnings(
    report: CheckReport, concepts: Sequence[RunConcept], mutually_exclusive: bool, batch_size: int
) -> list[str]:
    warnings = []
    for split in ("val", "test"):
        missing = [concept.name for concept in concepts if not report.positives[split].get(concept.id)]
        if not report.usable[split]:
            warnings.append(f"there are no {split} examples: metrics of the {split} split are n/a")
        elif missing:
            warnings.append(f"no positive {split} example of {listed(missing)}: their {split} metrics are n/a")
    if 0 < report.usable["train"] < batch_size:
        warnings.append(f"{report.usable['train']} training examples are fewer than batch_size {batch_size}")
    warnings += _imbalance(report, concepts)
    warnings += _copy_warnings(report, mutually_exclusive)
    if report.skipped:
        warnings.append(f"{len(report.skipped)} inputs are left out: {listed([s.id for s in report.skipped])}")
    return warnings


def _imbalance(report: CheckReport, concepts: Sequence[RunConcept]) -> list[str]:
    counts = {concept.name: report.positives["train"].get(concept.id, 0) for concept in concepts}
    if not counts:
        return []
    rarest, commonest = min(counts, key=lambda n: counts[n]), max(counts, key=lambda n: counts[n])
    if counts[commonest] < IMBALANCE * counts[rarest]:
        return []
    return [
        f"the concepts are far from balanced: {counts[commonest]} positives of {shown(commonest)}, "
        f"{counts[rarest]} of {shown(rarest)}; look at the metrics per concept"
    ]


def _copy_warnings(report: CheckReport, mutually_exclusive: bool) -> list[str]:
    warnings = []
    if report.leaks:
        ids = [copies.ids[0] for copies in report.leaks]
        warnings.append(f"{len(ids)} pictures are in more than one split, which flatters the metrics: {listed(ids)}")
    torn = [copies for copies in report.copies if mutually_exclusive and len(copies.positives) > 1]
    if torn:
        ids = [" = ".join(copies.ids) for copies in torn]
        warnings.append(f"{len(torn)} pictures carry contradicting labels: {listed(ids)}")
    return warnings


def listed(names: Sequence[str]) -> str:
    """The first LISTED names, escaped, and how many more there are."""
    text = ", ".join(shown(name) for name in names[:LISTED])
    return f"{text} and {len(names) - LISTED} more" if len(names) > LISTED else text
