"""What freezing a dataset version reads and writes. Next: `worker/snapshot_job`, which freezes.

A version's status: 64005 pending -> 64010 in progress -> 64015 ready or 64020 failed. Each step is a named function.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, or_, select, true, update

from luthier.store import regions
from luthier.store.database import now, one_of
from luthier.store.regions import Marked
from luthier.store.tables import (
    annotations,
    concepts,
    dataset_inputs,
    dataset_versions,
    inputs,
    labels,
    model_versions,
    region_labels,
)
from luthier.store.versions import UNDER_WAY

PAGE = 1000  # rows per query
COUNTING = regions.COUNTING
PENDING_INPUT, GOOD_INPUT = 30001, 30000
TRAINING_ORIGIN = 2
AT_ONCE = 128  # rows of one write


class Status(IntEnum):
    """Wire codes of a dataset version."""

    PENDING = 64005  # asked for: -> IN_PROGRESS
    IN_PROGRESS = 64010  # a worker freezes it: -> READY, FAILED
    READY = 64015  # manifest and counts are there and never change; for good
    FAILED = 64020  # `details` say why; for good


@dataclass(frozen=True)
class DatasetVersion:
    seq: int
    app: int
    dataset: int | None
    id: str
    status: int
    details: str
    origin: int
    split: dict[str, Any]
    annotation_filter: dict[str, Any] | None
    manifest: str
    counts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """An input of the version being frozen, with its labels: concept id -> 1 or 0, and its regions."""

    id: str
    blob: str
    status: int
    details: str
    split: str
    width: int
    height: int
    labels: dict[str, int]
    regions: list[Marked]


def by_seq(connection: Connection, seq: int) -> DatasetVersion | None:
    names = list(DatasetVersion.__dataclass_fields__)
    row = connection.execute(
        select(*(dataset_versions.c[n] for n in names)).where(dataset_versions.c.seq == seq)
    ).mappings()
    found = row.first()
    if found is None:
        return None
    texts = [name for name in ("split", "annotation_filter", "counts") if found[name] is not None]
    return DatasetVersion(**{**found, **{name: json.loads(found[name]) for name in texts}})


def begin(connection: Connection, seq: int) -> bool:
    """PENDING, or IN_PROGRESS when taken over -> IN_PROGRESS."""
    return _move(connection, seq, (Status.PENDING, Status.IN_PROGRESS), status=Status.IN_PROGRESS)


def ready(connection: Connection, seq: int, manifest: str, counts: dict[str, Any]) -> bool:
    """IN_PROGRESS -> READY with its manifest's blob and its counts."""
    values = {"manifest": manifest, "counts": json.dumps(counts, ensure_ascii=False), "details": ""}
    return _move(connection, seq, (Status.IN_PROGRESS,), status=Status.READY, **values)


def failed(connection: Connection, seq: int, details: str) -> bool:
    """PENDING or IN_PROGRESS -> FAILED."""
    return _move(connection, seq, (Status.PENDING, Status.IN_PROGRESS), status=Status.FAILED, details=details)


def drop_unneeded(connection: Connection) -> None:
    """Ends what was made for trainings and no training freezes any more: PENDING or IN_PROGRESS -> FAILED.

    One without a dataset is in no list: it goes when no model version names it, and with it what its manifest holds.
    """
    row, ours = dataset_versions.c, dataset_versions.c.origin == TRAINING_ORIGIN
    named = select(1).where(model_versions.c.dataset_version == row.seq)
    alone = select(row.seq).where(ours, row.dataset.is_(None), ~exists(named)).limit(AT_ONCE)
    gone = list(connection.execute(alone).scalars())
    connection.execute(delete(dataset_versions).where(row.seq.in_(gone)))
    waits = row.status.in_((int(Status.PENDING), int(Status.IN_PROGRESS)))
    left = select(row.seq).where(ours, waits, ~exists(named.where(model_versions.c.status.in_(UNDER_WAY))))
    for seq in list(connection.execute(left.limit(AT_ONCE)).scalars()):
        failed(connection, seq, "the training that it was made for ended first; train again, or make a version")


def pending_inputs(connection: Connection, version: DatasetVersion, concept_ids: Sequence[str], kind: str = "") -> int:
    """How many of its inputs have not been checked yet; see `members`."""
    waiting = (inputs.c.app == version.app, inputs.c.status == PENDING_INPUT)
    within = (dataset_inputs.c.dataset == version.dataset, dataset_inputs.c.input == inputs.c.seq)
    whole_app = version.dataset is None
    member = _of_app(connection, version, concept_ids, kind) if whole_app else exists(select(1).where(*within))
    query = select(func.count()).select_from(inputs).where(*waiting, member)
    return int(connection.execute(query).scalar_one())


def members(
    connection: Connection, version: DatasetVersion, concept_ids: Sequence[str], kind: str = ""
) -> Iterator[Member]:
    """Every input of the version, in order of membership. A version without a dataset has the app's inputs that carry
    one of the concepts, or where `kind` ("text") is given, those of that kind. Read it all in one transaction: then it
    is one moment's state. Rows come as they are asked for.
    """
    ids: dict[int, str] = {}
    stream = connection.execute(_members(connection, version, concept_ids, kind), execution_options={"yield_per": PAGE})
    for rows in stream.partitions():
        seqs = [row[0] for row in rows]
        labelled, marked = _labels(connection, seqs, ids), regions.marked(connection, seqs)
        for seq, id, blob, status, details, split, width, height in rows:
            found = labelled.get(seq, {}), marked.get(seq, [])
            yield Member(id, blob, status, details, split, width, height, *found)


def _members(connection: Connection, version: DatasetVersion, concept_ids: Sequence[str], kind: str) -> Select[Any]:
    row = inputs.c
    columns = select(row.seq, row.id, row.blob, row.status, row.details, row.split, row.width, row.height)
    if version.dataset is not None:
        joined = columns.select_from(dataset_inputs.join(inputs, row.seq == dataset_inputs.c.input))
        return joined.where(dataset_inputs.c.dataset == version.dataset).order_by(dataset_inputs.c.seq)
    within = _of_app(connection, version, concept_ids, kind)
    return columns.where(row.app == version.app, within).order_by(row.seq)


def _of_app(
    connection: Connection, version: DatasetVersion, concept_ids: Sequence[str], kind: str
) -> ColumnElement[bool]:
    """Which of the app's inputs a version without a dataset has."""
    return inputs.c.kind == kind if kind else _carry(connection, version, concept_ids)


def _carry(connection: Connection, version: DatasetVersion, concept_ids: Sequence[str]) -> ColumnElement[bool]:
    """A label or a region of an input gives one of the concepts. The few labels of each input are looked at, whatever
    index of the concepts there is: `+ 0` says so to databases that guess.
    """
    wanted = select(concepts.c.seq).where(concepts.c.app == version.app, concepts.c.id.in_(concept_ids))
    seqs = list(connection.execute(wanted).scalars())
    whole = select(1).where(
        labels.c.input == inputs.c.seq, (labels.c.concept + 0).in_(seqs), labels.c.counting == true()
    )
    part = select(1).join(annotations, annotations.c.seq == region_labels.c.annotation)
    within = (region_labels.c.input == inputs.c.seq, (region_labels.c.concept + 0).in_(seqs))
    return or_(exists(whole), exists(part.where(*within, annotations.c.status == COUNTING)))


def _labels(connection: Connection, seqs: Sequence[int], ids: dict[int, str]) -> dict[int, dict[str, int]]:
    """Of several annotations that speak of one concept the latest counts. `ids` are those of concepts known so far."""
    row = labels.c
    query = select(row.input, row.concept, row.value).where(one_of(connection, row.input, seqs), row.counting == true())
    rows = connection.execute(query.order_by(row.annotation)).all()
    ids.update(regions.concept_ids(connection, sorted({concept for _, concept, _ in rows if concept not in ids})))
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for input, concept, value in rows:
        found[input][ids[concept]] = value
    return found


def _move(connection: Connection, seq: int, leaves: tuple[Status, ...], **values: Any) -> bool:
    here = (dataset_versions.c.seq == seq, dataset_versions.c.status.in_([int(status) for status in leaves]))
    values["status"] = int(values["status"])
    return connection.execute(update(dataset_versions).where(*here).values(**values, modified_at=now())).rowcount == 1
