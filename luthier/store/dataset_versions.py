"""Dataset versions as calls see them: made, listed, described, removed. Next: `snapshots`, which freezes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, select, update

from luthier.errors import DuplicateId, shown
from luthier.store import tables
from luthier.store.conflicts import unless_taken
from luthier.store.database import now
from luthier.store.snapshots import Status
from luthier.store.versions import UNDER_WAY

MANUAL, TRAINING = 1, 2  # wire DatasetVersionRequestOrigin
DEFAULT_SPLIT: dict[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1, "seed": 0}


@dataclass(frozen=True)
class DatasetVersionRow:
    seq: int
    app: int
    dataset: int | None
    dataset_id: str  # "" where the version was made for a training without a dataset
    id: str
    status: int
    details: str
    origin: int
    split: dict[str, Any]
    annotation_filter: dict[str, Any] | None  # see `version_filter`
    manifest: str
    counts: dict[str, Any]
    message: bytes
    created_at: float
    modified_at: float


def create(
    connection: Connection,
    app: int,
    dataset: int | None,
    id: str,
    message: bytes,
    *,
    origin: int = MANUAL,
    split: dict[str, float] | None = None,
    annotation_filter: dict[str, Any] | None = None,
) -> int:
    """A pending version; enqueue what freezes it in the same transaction. Raises DuplicateId; returns its seq."""
    time, table = now(), tables.dataset_versions
    taken = select(table.c.seq).where(table.c.app == app, table.c.dataset == dataset, table.c.id == id)
    if connection.execute(taken).first():
        raise DuplicateId(f"duplicate id: the dataset has a version {shown(id)!r} already")
    row = {
        "app": app,
        "dataset": dataset,
        "id": id,
        "status": int(Status.PENDING),
        "origin": origin,
        "message": message,
        "annotation_filter": json.dumps(annotation_filter, ensure_ascii=False) if annotation_filter else None,
    }
    times = {"created_at": time, "modified_at": time}
    with unless_taken(DuplicateId(f"duplicate id: the dataset has a version {shown(id)!r} already")):
        result = connection.execute(insert(table).values(**row, **times, split=json.dumps(split or DEFAULT_SPLIT)))
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def find(connection: Connection, dataset: int, id: str) -> DatasetVersionRow | None:
    table = tables.dataset_versions
    return _first(connection, _rows().where(table.c.dataset == dataset, table.c.id == id))


def by_seq(connection: Connection, seq: int) -> DatasetVersionRow | None:
    return _first(connection, _rows().where(tables.dataset_versions.c.seq == seq))


def page(
    connection: Connection, dataset: int, offset: int, limit: int, origins: Sequence[int] = ()
) -> list[DatasetVersionRow]:
    table = tables.dataset_versions
    query = _rows().where(table.c.dataset == dataset)
    if origins:
        query = query.where(table.c.origin.in_(origins))
    return [_row(row) for row in connection.execute(query.order_by(table.c.seq).offset(offset).limit(limit)).mappings()]


def newest(connection: Connection, datasets: Sequence[int]) -> dict[int, DatasetVersionRow]:
    """By the dataset's seq."""
    table = tables.dataset_versions
    last = select(func.max(table.c.seq)).where(table.c.dataset.in_(datasets)).group_by(table.c.dataset)
    rows = [_row(row) for row in connection.execute(_rows().where(table.c.seq.in_(last))).mappings()]
    return {row.dataset: row for row in rows if row.dataset is not None}


def set_message(connection: Connection, seq: int, message: bytes) -> None:
    changed = update(tables.dataset_versions).where(tables.dataset_versions.c.seq == seq)
    connection.execute(changed.values(message=message, modified_at=now()))


def remove(connection: Connection, seqs: Sequence[int]) -> None:
    connection.execute(delete(tables.dataset_versions).where(tables.dataset_versions.c.seq.in_(seqs)))


def trained_on(connection: Connection, versions: Sequence[int]) -> dict[int, str]:
    """Those of the dataset versions that a queued or running training needs, with the id of one such model version."""
    table = tables.model_versions
    under_way = table.c.status.in_(UNDER_WAY)
    query = select(table.c.dataset_version, table.c.id).where(table.c.dataset_version.in_(versions), under_way)
    return {seq: str(id) for seq, id in connection.execute(query)}


def of_datasets(connection: Connection, datasets: Sequence[int]) -> list[int]:
    table = tables.dataset_versions
    return list(connection.execute(select(table.c.seq).where(table.c.dataset.in_(datasets))).scalars())


def _rows() -> Select[Any]:
    table, datasets = tables.dataset_versions, tables.datasets
    named = select(table, func.coalesce(datasets.c.id, "").label("dataset_id"))
    return named.join(datasets, datasets.c.seq == table.c.dataset, isouter=True)


def _first(connection: Connection, query: Select[Any]) -> DatasetVersionRow | None:
    row = connection.execute(query).mappings().first()
    return _row(row) if row else None


def _row(row: RowMapping) -> DatasetVersionRow:
    read = {name: json.loads(row[name]) for name in ("split", "annotation_filter", "counts") if row[name] is not None}
    return DatasetVersionRow(**{**row, **read})
