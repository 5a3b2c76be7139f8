"""What freezing a dataset version reads and writes. Next: `worker/snapshot_job`, which freezes.

A version's status: 64005 pending -> 64010 in progress -> 64015 ready or 64020 failed. Each step is a named function.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, func, select, union_all, update

from luthier.store import regions
from luthier.store.database import now
from luthier.store.regions import Marked
from luthier.store.tables import annotations, concepts, dataset_inputs, dataset_versions, inputs, labels, region_labels

PAGE = 1000  # rows per query
COUNTING = regions.COUNTING
PENDING_INPUT, GOOD_INPUT = 30001, 30000
TRAINING_ORIGIN = 2


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
    return DatasetVersion(**{**found, "split": json.loads(found["split"]), "counts": json.loads(found["counts"])})


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


def pending_inputs(connection: Connection, version: DatasetVersion, concept_ids: Sequence[str]) -> int:
    """How many of its inputs have not been checked yet."""
    members = _members(version, concept_ids).where(inputs.c.status == PENDING_INPUT).subquery()
    return int(connection.execute(select(func.count()).select_from(members)).scalar_one())


def members(connection: Connection, version: DatasetVersion, concept_ids: Sequence[str]) -> Iterator[Member]:
    """Every input of the version, in order of membership. A version without a dataset has the app's inputs that carry
    one of the concepts. Read it all in one transaction: then it is one moment's state.
    """
    after = 0
    while True:
        order = _order(version)
        some = _members(version, concept_ids).where(order > after).order_by(order).limit(PAGE)
        rows = connection.execute(some).mappings().all()
        seqs = [row["seq"] for row in rows]
        labelled, marked = _labels(connection, seqs), regions.marked(connection, seqs)
        for row in rows:
            after = row["position"]
            values = {name: row[name] for name in ("id", "blob", "status", "details", "split", "width", "height")}
            yield Member(**values, labels=labelled[row["seq"]], regions=marked.get(row["seq"], []))
        if len(rows) < PAGE:
            return


def _members(version: DatasetVersion, concept_ids: Sequence[str]) -> Any:
    order = _order(version).label("position")
    if version.dataset is not None:
        joined = dataset_inputs.join(inputs, inputs.c.seq == dataset_inputs.c.input)
        return select(inputs, order).select_from(joined).where(dataset_inputs.c.dataset == version.dataset)
    carrying = union_all(*(_carrying(table, version, concept_ids) for table in (labels, region_labels)))
    return select(inputs, order).where(inputs.c.app == version.app, inputs.c.seq.in_(carrying))


def _carrying(table: Table, version: DatasetVersion, concept_ids: Sequence[str]) -> Select[Any]:
    return (
        select(table.c.input)
        .join(concepts, concepts.c.seq == table.c.concept)
        .join(annotations, annotations.c.seq == table.c.annotation)
        .where(concepts.c.app == version.app, concepts.c.id.in_(concept_ids), annotations.c.status == COUNTING)
    )


def _order(version: DatasetVersion) -> ColumnElement[int]:
    return inputs.c.seq if version.dataset is None else dataset_inputs.c.seq


def _labels(connection: Connection, seqs: Sequence[int]) -> dict[int, dict[str, int]]:
    """Of several annotations that speak of one concept the latest counts."""
    rows = (
        select(labels.c.input, concepts.c.id, labels.c.value)
        .join(concepts, concepts.c.seq == labels.c.concept)
        .join(annotations, annotations.c.seq == labels.c.annotation)
        .where(labels.c.input.in_(seqs), annotations.c.status == COUNTING)
        .order_by(labels.c.annotation)
    )
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for input, concept, value in connection.execute(rows):
        found[input][concept] = value
    return found


def _move(connection: Connection, seq: int, leaves: tuple[Status, ...], **values: Any) -> bool:
    here = (dataset_versions.c.seq == seq, dataset_versions.c.status.in_([int(status) for status in leaves]))
    values["status"] = int(values["status"])
    return connection.execute(update(dataset_versions).where(*here).values(**values, modified_at=now())).rowcount == 1
