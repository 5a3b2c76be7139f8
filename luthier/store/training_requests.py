"""What a request for a training looks up: datasets, labels to learn from, devices. Next: `versions`, `snapshots`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, case, func, select

from luthier.store import snapshots
from luthier.store.database import now
from luthier.store.jobs import State
from luthier.store.tables import (
    annotations,
    concepts,
    dataset_inputs,
    dataset_versions,
    datasets,
    devices,
    inputs,
    jobs,
    labels,
    region_labels,
)

_UNCHECKED_OR_GOOD = (snapshots.PENDING_INPUT, snapshots.GOOD_INPUT)
SAMPLED_TEXTS = 2000
RETRY_SECONDS = 3600.0  # a calibration that failed is not asked for again within this time


@dataclass(frozen=True)
class ConceptRow:
    seq: int
    id: str
    name: str


@dataclass(frozen=True)
class LabelCounts:
    """`inputs` carry a label of one of the concepts, positive or negative; the others are by concept seq."""

    inputs: int
    positives: dict[int, int]
    negatives: dict[int, int]


def concepts_named(connection: Connection, app: int, ids: Sequence[str]) -> dict[str, ConceptRow]:
    """Those of `ids` that exist."""
    rows = select(concepts.c.seq, concepts.c.id, concepts.c.name).where(concepts.c.app == app, concepts.c.id.in_(ids))
    return {row.id: ConceptRow(row.seq, row.id, row.name) for row in connection.execute(rows)}


def first_concepts(connection: Connection, app: int, limit: int) -> list[str]:
    rows = select(concepts.c.id).where(concepts.c.app == app).order_by(concepts.c.seq).limit(limit)
    return list(connection.execute(rows).scalars())


def dataset_seq(connection: Connection, app: int, id: str) -> int | None:
    return connection.execute(select(datasets.c.seq).where(datasets.c.app == app, datasets.c.id == id)).scalar()


def dataset_versions_named(
    connection: Connection, app: int, id: str, dataset: int | None
) -> list[snapshots.DatasetVersion]:
    """The versions of that id, of one dataset or of any."""
    where = [dataset_versions.c.app == app, dataset_versions.c.id == id]
    if dataset is not None:
        where.append(dataset_versions.c.dataset == dataset)
    seqs = connection.execute(select(dataset_versions.c.seq).where(*where)).scalars()
    found = [snapshots.by_seq(connection, seq) for seq in seqs]
    return [version for version in found if version]


def label_counts(
    connection: Connection,
    app: int,
    kind: str,
    concept_seqs: Sequence[int],
    dataset: int | None,
    *,
    regions: bool = False,
) -> LabelCounts:
    """Of good and unchecked inputs of a kind ("image"), of one dataset or of the whole app; labels, or `regions`'."""
    table = region_labels if regions else labels
    where = _labelled(table, app, kind, concept_seqs, dataset)
    count = func.count(func.distinct(table.c.input))
    by_concept = _from_labels(table, table.c.concept, table.c.value, count).where(*where)
    positives: dict[int, int] = {}
    negatives: dict[int, int] = {}
    for concept, value, number in connection.execute(by_concept.group_by(table.c.concept, table.c.value)):
        (positives if value else negatives)[concept] = number
    total = connection.execute(_from_labels(table, count).where(*where)).scalar_one()
    return LabelCounts(int(total), positives, negatives)


def input_count(connection: Connection, app: int, kind: str, dataset: int | None) -> int:
    """Good and unchecked inputs, labelled or not."""
    where = [inputs.c.app == app, inputs.c.kind == kind, inputs.c.status.in_(_UNCHECKED_OR_GOOD)]
    if dataset is not None:
        where.append(inputs.c.seq.in_(_members(dataset)))
    return int(connection.execute(select(func.count()).select_from(inputs).where(*where)).scalar_one())


def mean_text_bytes(connection: Connection, app: int, dataset: int | None, most: int) -> float:
    """Of good and unchecked texts, or of a sample of them, each of which counts for `most` at most; 0 for no texts."""
    where = [inputs.c.app == app, inputs.c.kind == "text", inputs.c.status.in_(_UNCHECKED_OR_GOOD)]
    where.append(inputs.c.size > 0)  # what is still being fetched has none
    if dataset is not None:
        where.append(inputs.c.seq.in_(_members(dataset)))
    some = select(inputs.c.size).where(*where).order_by(inputs.c.seq).limit(SAMPLED_TEXTS).subquery()
    counted = case((some.c.size > most, most), else_=some.c.size)
    return float(connection.execute(select(func.avg(counted))).scalar() or 0.0)


def gpu_workers(connection: Connection) -> int:
    """Workers that last said they train on something else than processors."""
    with_gpu = select(func.count()).select_from(devices).where(devices.c.kind != "cpu")
    return int(connection.execute(with_gpu).scalar_one())


def calibration_asked(connection: Connection, payload: dict[str, Any]) -> bool:
    """Whether that very calibration waits, runs, or has failed a short while ago."""
    this = (jobs.c.kind == "calibration", jobs.c.payload == json.dumps(payload))
    active = jobs.c.state.in_([State.QUEUED, State.RUNNING])
    failed = (jobs.c.state == State.FAILED) & (jobs.c.created_at > now() - RETRY_SECONDS)
    return connection.execute(select(jobs.c.seq).where(*this, active | failed).limit(1)).first() is not None


def _from_labels(table: Table, *columns: Any) -> Select[Any]:
    joined = table.join(inputs, inputs.c.seq == table.c.input)
    return select(*columns).select_from(joined.join(annotations, annotations.c.seq == table.c.annotation))


def _labelled(
    table: Table, app: int, kind: str, concept_seqs: Sequence[int], dataset: int | None
) -> list[ColumnElement[bool]]:
    where = [table.c.concept.in_(concept_seqs), annotations.c.status == snapshots.COUNTING]
    where += [inputs.c.app == app, inputs.c.kind == kind, inputs.c.status.in_(_UNCHECKED_OR_GOOD)]
    if dataset is not None:
        where.append(table.c.input.in_(_members(dataset)))
    return where


def _members(dataset: int) -> Select[Any]:
    return select(dataset_inputs.c.input).where(dataset_inputs.c.dataset == dataset)
