"""Model versions: the rows, and the state machine that rpcs and worker share. Next: `jobs`, which drives it.

`request` is what a training was asked for (PostModelVersions writes it):
 {"template", "given", "hyperparameters", "concepts": [{"id","name"}], "dataset_id", "dataset_version_id",
  "invalid_data_tolerance_percent", "replay_percent", "resume_from": {"model_id","version_id"} | null,
  "estimated_seconds", "seed"}
`results` is what it brought (the training job writes it):
 {"metrics": {}, "val_metrics": {}, "estimate": {"estimated_seconds","actual_seconds"}, "plan": {},
  "skipped": [{"id","reason"}], …}
"""

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import Connection, Select, func, select, update
from sqlalchemy import delete as delete_rows

from luthier.store.database import now
from luthier.store.tables import apps, model_versions, models, users


class Status(IntEnum):
    """Wire codes of a version."""

    UNTRAINED = 21102  # made with its model, no training was asked for; for good
    QUEUED = 21103  # waits for a worker: -> TRAINING, FAILED (cancelled, or refused before the start)
    TRAINING = 21101  # a worker is at it: -> TRAINED, FAILED, or back to QUEUED when its worker is drained
    TRAINED = 21100  # results and checkpoint are complete; for good
    FAILED = 21106  # `details` say why; for good. One that was cancelled may have a checkpoint


UNDER_WAY = (int(Status.QUEUED), int(Status.TRAINING))


@dataclass(frozen=True)
class Version:
    seq: int
    model: int  # seq
    id: str
    status: int
    details: str
    percent: int
    seconds_left: int
    template: str
    request: dict[str, Any]
    dataset_version: int | None  # seq
    run_folder: str  # relative to the runs folder
    checkpoint: str  # relative to the run folder
    results: dict[str, Any]
    input_count: int
    message: bytes
    created_at: float
    modified_at: float
    completed_at: float | None
    model_id: str
    model_type: str
    app: int  # seq
    app_id: str
    user_id: str  # of the app's owner


def create(
    connection: Connection,
    model: int,
    id: str,
    message: bytes,
    *,
    status: int = Status.UNTRAINED,
    template: str = "",
    request: dict[str, Any] | None = None,
    dataset_version: int | None = None,
) -> int:
    """A new version, UNTRAINED or QUEUED; returns its seq. Enqueue its job in the same transaction."""
    time_now = now()
    row = {"model": model, "id": id, "message": message, "status": int(status), "template": template}
    asked = {"request": _json(request or {}), "dataset_version": dataset_version}
    result = connection.execute(
        model_versions.insert().values(**row, **asked, created_at=time_now, modified_at=time_now)
    )
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def find(connection: Connection, model: int, id: str) -> Version | None:
    return _first(connection, _rows().where(model_versions.c.model == model, model_versions.c.id == id))


def by_id(connection: Connection, id: str) -> Version | None:
    """Version ids are unique in the whole installation and never used again."""
    return _first(connection, _rows().where(model_versions.c.id == id))


def by_seq(connection: Connection, seq: int) -> Version | None:
    return _first(connection, _rows().where(model_versions.c.seq == seq))


def newest(connection: Connection, model: int) -> Version | None:
    found = page(connection, model, 0, 1)
    return found[0] if found else None


def page(connection: Connection, model: int, offset: int, limit: int) -> list[Version]:
    """Newest first."""
    wanted = _rows().where(model_versions.c.model == model).order_by(model_versions.c.seq.desc())
    return [_version(row) for row in connection.execute(wanted.offset(offset).limit(limit)).mappings()]


def count(connection: Connection, model: int) -> int:
    of_model = select(func.count()).select_from(model_versions).where(model_versions.c.model == model)
    return int(connection.execute(of_model).scalar_one())


# -- transitions: each says which states it leaves, and returns False, changing nothing, from any other ---------------


def to_training(connection: Connection, seq: int, *, run_folder: str, details: str) -> bool:
    """QUEUED or (taken over) TRAINING -> TRAINING."""
    values = {"status": Status.TRAINING, "run_folder": run_folder, "details": details}
    return _move(connection, seq, (Status.QUEUED, Status.TRAINING), values)


def progress(
    connection: Connection, seq: int, percent: int, seconds_left: int, details: str, *, checkpoint: str | None = None
) -> bool:
    """TRAINING stays TRAINING. `checkpoint`, where given, is what a cancel would leave behind."""
    values: dict[str, Any] = {"percent": percent, "seconds_left": seconds_left, "details": details}
    if checkpoint is not None:
        values["checkpoint"] = checkpoint
    return _move(connection, seq, (Status.TRAINING,), values)


def back_to_queue(connection: Connection, seq: int, details: str) -> bool:
    """TRAINING -> QUEUED: its worker went away in good order, another goes on from the checkpoint."""
    return _move(connection, seq, (Status.TRAINING,), {"status": Status.QUEUED, "details": details, "seconds_left": 0})


def to_trained(connection: Connection, seq: int, checkpoint: str, results: dict[str, Any], input_count: int) -> bool:
    """TRAINING -> TRAINED, with everything that a trained version has, in one statement."""
    done = {"percent": 100, "seconds_left": 0, "details": "", "completed_at": now()}
    found = {"checkpoint": checkpoint, "results": _json(results), "input_count": input_count}
    return _move(connection, seq, (Status.TRAINING,), {"status": Status.TRAINED, **done, **found})


def to_failed(
    connection: Connection,
    seq: int,
    details: str,
    results: dict[str, Any] | None = None,
    *,
    checkpoint: str | None = None,
) -> bool:
    """QUEUED or TRAINING -> FAILED. A checkpoint known from `progress` stays unless another is given."""
    values: dict[str, Any] = {"status": Status.FAILED, "details": details, "seconds_left": 0, "completed_at": now()}
    if results is not None:
        values["results"] = _json(results)
    if checkpoint is not None:
        values["checkpoint"] = checkpoint
    return _move(connection, seq, (Status.QUEUED, Status.TRAINING), values)


def patch_message(connection: Connection, seq: int, message: bytes) -> bool:
    return _move(connection, seq, tuple(Status), {"message": message})


def delete(connection: Connection, seq: int) -> bool:
    """Removes the row and its log. Cancel its job in the same transaction; the worker then removes the run folder."""
    return connection.execute(delete_rows(model_versions).where(model_versions.c.seq == seq)).rowcount == 1


def _move(connection: Connection, seq: int, leaves: tuple[Status, ...], values: dict[str, Any]) -> bool:
    here = (model_versions.c.seq == seq, model_versions.c.status.in_([int(status) for status in leaves]))
    plain = {key: int(value) if isinstance(value, Status) else value for key, value in values.items()}
    return connection.execute(update(model_versions).where(*here).values(**plain, modified_at=now())).rowcount == 1


def _rows() -> Select[Any]:
    above = (models.c.id.label("model_id"), models.c.model_type, models.c.app, apps.c.id.label("app_id"))
    joined = model_versions.join(models, models.c.seq == model_versions.c.model).join(apps, apps.c.seq == models.c.app)
    return select(model_versions, *above, users.c.id.label("user_id")).select_from(
        joined.join(users, users.c.seq == apps.c.user)
    )


def _first(connection: Connection, rows: Select[Any]) -> Version | None:
    row = connection.execute(rows).mappings().first()
    return _version(row) if row else None


def _version(row: Any) -> Version:
    return Version(**{**row, "request": json.loads(row["request"]), "results": json.loads(row["results"])})


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
