"""Freezes dataset versions: a manifest of hashes and labels that later edits cannot reach. Next: `data/split`.

Subject: seq of the dataset version. A training without a named version freezes one itself, by the same `freeze`.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection

from luthier.data.decode_pool import DecodeResult
from luthier.data.split import DEFAULT_RATIOS, Item, assign_splits
from luthier.errors import DatasetVersionConflict, InvalidAnnotation
from luthier.runs.manifest import SPLITS, Example, Region, example_to_line
from luthier.store import jobs, snapshots
from luthier.store.jobs import Job
from luthier.store.regions import Marked
from luthier.store.snapshots import GOOD_INPUT, PENDING_INPUT, DatasetVersion, Member
from luthier.worker.frozen_counts import Counts
from luthier.worker.frozen_regions import Masks, regions_of
from luthier.worker.lease import Interrupted, Why
from luthier.worker.version_filter import filtered
from luthier.worker.work import Work

WAIT_SECONDS = 300.0  # for inputs that are still being checked, since their number last changed
POLL_SECONDS = 0.2
FREEZING = "freeze-"  # a working folder in the data folder
AT_ONCE = 32  # inputs whose masks are decoded and held together


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


def freeze(work: Work, seq: int, concept_ids: Sequence[str], *, kind: str = "", finish: bool = False) -> DatasetVersion:
    """Brings a dataset version in progress to READY and returns it; with `finish` the job ends in the same transaction.

    `kind`: of the inputs that a version without a dataset has, where none are told by concepts.

    Raises DatasetVersionConflict where it was deleted meanwhile.
    """
    version = _wait_for_inputs(work, seq, concept_ids, kind)
    with tempfile.TemporaryDirectory(prefix=FREEZING, dir=work.settings.data_dir) as folder:
        manifest, counts = _write(work, version, concept_ids, kind, Path(folder))
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


def _wait_for_inputs(work: Work, seq: int, concept_ids: Sequence[str], kind: str) -> DatasetVersion:
    """Waits until the decoder has seen every input, or has done nothing for WAIT_SECONDS."""
    still, before = 0.0, -1
    while True:
        with work.database.read() as connection:
            version = snapshots.by_seq(connection, seq)
            if version is None:
                raise DatasetVersionConflict("the dataset version was deleted while it was being made")
            left = snapshots.pending_inputs(connection, version, concept_ids, kind)
        if not left or still >= WAIT_SECONDS:
            return version
        still, before = (still + POLL_SECONDS if left == before else 0.0), left
        work.lease.sleep(POLL_SECONDS)


_MEMBER = tuple(f.name for f in fields(Member))
_OPEN = "?"  # the split in the spooled line of an input that needs nothing but its split
_OPEN_SPLIT = f'"split":"{_OPEN}"'  # quotes within JSON's strings are escaped: this stands nowhere else


def _write(
    work: Work, version: DatasetVersion, concept_ids: Sequence[str], kind: str, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """Reads the rows once, in one transaction, into a file; then the splits are dealt, then the manifest is written."""
    counts, manifest = Counts(), folder / "manifest.jsonl"
    ratios = {name: share for name, share in version.split.items() if name in SPLITS} or DEFAULT_RATIOS
    with (folder / "rows.jsonl").open("w+", encoding="utf-8") as rows:
        with work.database.read() as connection:
            every = snapshots.members(connection, version, concept_ids, kind)
            members = filtered(every, version.annotation_filter)
            splits = assign_splits(_spooled(work, members, rows, counts), ratios, int(version.split.get("seed", 0)))
        rows.seek(0)
        decoder = Masks(work.blobs, work.settings.decode_memory_mb, work.settings.decode_seconds)
        with decoder as masks, manifest.open("w", encoding="utf-8") as lines:
            lines.writelines(_lines(work, rows, splits, counts, masks))
    return manifest, asdict(counts)


def _spooled(work: Work, members: Iterable[Member], rows: IO[str], counts: Counts) -> Iterator[Item]:
    """Most inputs need only their split: of these the line itself waits in the file, behind the blob's name."""
    for member in members:
        if counts.inputs % 1000 == 0:
            work.lease.check()
        counts.add(member)
        good = member.status == GOOD_INPUT
        if good and not member.regions:
            line = Example(member.id, member.blob, _OPEN, member.labels, member.width, member.height)
            rows.write(f"{member.blob} {example_to_line(line)}\n")
        else:
            rows.write(json.dumps([getattr(member, name) for name in _MEMBER]) + "\n")
        if good:
            yield Item(member.blob, _stratum(member), member.split)


def _stratum(member: Member) -> str:
    """What the splits are balanced over: the first concept that the input has, else that one of its regions has."""
    whole = [concept for concept, value in member.labels.items() if value]
    return min(whole or [c for region in member.regions for c, value in region.labels.items() if value], default="")


def _lines(work: Work, rows: IO[str], splits: dict[str, str], counts: Counts, masks: Masks) -> Iterator[str]:
    """Lines of the manifest."""
    split_of = {split: f'"split":"{split}"' for split in SPLITS}
    for lines in iter(lambda: list(islice(rows, AT_ONCE)), []):
        members = {line: _member(line) for line in lines if line.startswith("[")}
        decoded = masks.of(member for member in members.values() if member.status == GOOD_INPUT)
        if decoded:
            work.lease.check()
        for line in lines:
            if line in members:
                example = _example(members[line], splits, decoded)
                counts.splits[example.split] += not example.invalid
                counts.invalid += bool(example.invalid)
                yield example_to_line(example) + "\n"
                continue
            blob, _, rest = line.partition(" ")
            counts.splits[splits[blob]] += 1
            yield rest.replace(_OPEN_SPLIT, split_of[splits[blob]], 1)


def _member(line: str) -> Member:
    values = dict(zip(_MEMBER, json.loads(line), strict=True))
    return Member(**{**values, "regions": [Marked(*region) for region in values["regions"]]})


def _example(member: Member, splits: dict[str, str], masks: dict[str, DecodeResult]) -> Example:
    """An unusable input is in no split; its field says train because it must say something."""
    invalid, regions = _invalid(member), tuple[Region, ...]()
    if member.regions:
        try:
            regions = regions_of(member, None if invalid else masks)
        except InvalidAnnotation as error:
            invalid, regions = f"{error.code} {error.details}", regions_of(member, None)
    split = "train" if invalid else splits[member.blob]
    picture = (member.width, member.height)
    return Example(member.id, member.blob, split, member.labels, *picture, invalid=invalid, regions=regions)


def _invalid(member: Member) -> str:
    if member.status == GOOD_INPUT:
        return ""
    if member.status == PENDING_INPUT:
        return f"{PENDING_INPUT} not checked yet when the version was made"
    return f"{member.status} {member.details}".strip()
