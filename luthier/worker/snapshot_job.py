"""Freezes dataset versions: a manifest of hashes and labels that later edits cannot reach. Next: `data/split`.

Subject: seq of the dataset version. A training without a named version freezes one itself, by the same `freeze`.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection

from luthier.data.split import DEFAULT_RATIOS, Item, assign_splits
from luthier.errors import DatasetVersionConflict
from luthier.runs.manifest import SPLITS, Example, write_manifest
from luthier.store import jobs, snapshots
from luthier.store.jobs import Job
from luthier.store.snapshots import GOOD_INPUT, PENDING_INPUT, DatasetVersion, Member
from luthier.worker.lease import Interrupted, Why
from luthier.worker.work import Work

WAIT_SECONDS = 300.0  # for inputs that are still being checked, since their number last changed
POLL_SECONDS = 0.2
FREEZING = "freeze-"  # a working folder in the data folder


class SnapshotJob:
    kind = "snapshot"

    def run(self, work: Work) -> None:
        with work.database.write() as connection:
            jobs.require(connection, work.job)
            alive = work.job.subject is not None and snapshots.begin(connection, work.job.subject)
        if not alive or work.job.subject is None:  # deleted, or ready already
            raise Interrupted(Why.CANCELLED)
        freeze(work, work.job.subject, tuple(work.job.payload.get("concepts", ())), finish=True)

    def gave_up(self, connection: Connection, job: Job, reasons: Sequence[str]) -> None:
        if job.subject is not None:
            snapshots.failed(connection, job.subject, "; ".join(reasons))

    def close(self) -> None:
        """Holds nothing."""


def freeze(work: Work, seq: int, concept_ids: Sequence[str], *, finish: bool = False) -> DatasetVersion:
    """Brings a dataset version in progress to READY and returns it; with `finish` the job ends in the same transaction.

    Raises DatasetVersionConflict where it was deleted meanwhile.
    """
    version = _wait_for_inputs(work, seq, concept_ids)
    with tempfile.TemporaryDirectory(prefix=FREEZING, dir=work.settings.data_dir) as folder:
        manifest, counts = _write(work, version, concept_ids, Path(folder))
        sha = work.blobs.put_file(manifest)
    with work.database.write() as connection:
        jobs.require(connection, work.job)
        there = snapshots.ready(connection, seq, sha, counts)
        if finish:
            jobs.finish(connection, work.job)
        frozen = snapshots.by_seq(connection, seq)
    if not there or frozen is None:
        raise DatasetVersionConflict(f"dataset version {version.id} was deleted while it was being made")
    return frozen


def _wait_for_inputs(work: Work, seq: int, concept_ids: Sequence[str]) -> DatasetVersion:
    """Waits until the decoder has seen every input, or has done nothing for WAIT_SECONDS."""
    still, before = 0.0, -1
    while True:
        with work.database.read() as connection:
            version = snapshots.by_seq(connection, seq)
            if version is None:
                raise DatasetVersionConflict("the dataset version was deleted while it was being made")
            left = snapshots.pending_inputs(connection, version, concept_ids)
        if not left or still >= WAIT_SECONDS:
            return version
        still, before = (still + POLL_SECONDS if left == before else 0.0), left
        work.lease.sleep(POLL_SECONDS)


_MEMBER = tuple(f.name for f in fields(Member))


@dataclass
class _Counts:
    """What is told of a version: rows, rows without a label, positive labels, and so on."""

    inputs: int = 0
    unlabeled_inputs: int = 0
    positive_tags: int = 0
    invalid: int = 0
    per_concept: dict[str, dict[str, int]] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))

    def add(self, member: Member) -> None:
        self.inputs += 1
        self.unlabeled_inputs += not member.labels
        self.invalid += member.status != GOOD_INPUT
        for concept, value in member.labels.items():
            row = self.per_concept.setdefault(concept, {"positive": 0, "negative": 0})
            row["positive" if value else "negative"] += 1
            self.positive_tags += bool(value)


def _write(
    work: Work, version: DatasetVersion, concept_ids: Sequence[str], folder: Path
) -> tuple[Path, dict[str, Any]]:
    """Reads the rows once, in one transaction, into a file; then the splits are dealt, then the manifest is written."""
    counts, manifest = _Counts(), folder / "manifest.jsonl"
    with (folder / "rows.jsonl").open("w+", encoding="utf-8") as rows:
        with work.database.read() as connection:
            items = list(_spooled(work, snapshots.members(connection, version, concept_ids), rows, counts))
        ratios = {name: share for name, share in version.split.items() if name in SPLITS} or DEFAULT_RATIOS
        splits = assign_splits(items, ratios, int(version.split.get("seed", 0)))
        rows.seek(0)
        write_manifest(manifest, _examples(rows, splits, counts))
    return manifest, asdict(counts)


def _spooled(work: Work, members: Iterable[Member], rows: IO[str], counts: _Counts) -> Iterator[Item]:
    for member in members:
        if counts.inputs % 1000 == 0:
            work.lease.check()
        counts.add(member)
        rows.write(json.dumps([getattr(member, name) for name in _MEMBER]) + "\n")
        if member.status == GOOD_INPUT:
            yield Item(member.blob, _stratum(member), member.split)


def _stratum(member: Member) -> str:
    """What the splits are balanced over: the first concept that the input has."""
    return min((concept for concept, value in member.labels.items() if value), default="")


def _examples(rows: IO[str], splits: dict[str, str], counts: _Counts) -> Iterator[Example]:
    for line in rows:
        member = Member(*json.loads(line))
        invalid = _invalid(member)
        split = (
            "train" if invalid else splits[member.blob]
        )  # an unusable input is in no split; the field is not optional
        counts.splits[split] += not invalid
        yield Example(member.id, member.blob, split, member.labels, member.width, member.height, invalid=invalid)


def _invalid(member: Member) -> str:
    if member.status == GOOD_INPUT:
        return ""
    if member.status == PENDING_INPUT:
        return f"{PENDING_INPUT} not checked yet when the version was made"
    return f"{member.status} {member.details}".strip()
