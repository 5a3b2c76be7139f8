"""Models, the trainings under way in them, and counts of what they could learn from. Next: `versions`, `jobs`.

A model's row is its wire message and what it is looked up by; its versions, which change alone, are in `versions`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, func, insert, select, update

from luthier.errors import DuplicateId, shown
from luthier.store import resources, tables, versions
from luthier.store.conflicts import unless_taken
from luthier.store.database import must_hold, now
from luthier.store.jobs import State

Order = Literal["seq", "created_at", "modified_at"]


@dataclass(frozen=True)
class ModelRow:
    seq: int
    app: int  # seq
    app_id: str
    user_id: str  # of the app's owner
    id: str
    model_type: str
    message: bytes
    created_at: float
    modified_at: float


@dataclass(frozen=True)
class ModelAndVersion:
    """A model and the columns of one of its versions, as they are stored: equal rows are equal, so it can be a key."""

    model: ModelRow
    columns: tuple[Any, ...]

    @property
    def has_version(self) -> bool:
        return self.columns[0] is not None

    @property
    def version(self) -> versions.Version | None:
        """None where the model has no such version."""
        if not self.has_version:
            return None
        values = dict(zip(tables.model_versions.c.keys(), self.columns, strict=True))
        parsed = {name: json.loads(values[name]) for name in ("request", "results")}
        model = self.model
        above = {"model_id": model.id, "model_type": model.model_type, "app": model.app}
        return versions.Version(**{**values, **parsed, **above, "app_id": model.app_id, "user_id": model.user_id})


@dataclass(frozen=True)
class Wanted:
    """Which models of a list. `keep`, where given, sees each row that passes the rest: it filters what SQL cannot."""

    app: int | None = None  # seq; None: all apps of the user
    model_types: tuple[str, ...] = ()  # any, where empty
    version_ids: tuple[str, ...] = ()  # only models with one of these versions, where not empty
    trained_only: bool = False
    order: Order = "seq"
    descending: bool = False
    keep: Callable[[ModelRow], bool] | None = None
    key: Callable[[ModelRow], str] | None = None  # sorts instead of `order`


def find_with_version(
    connection: Connection, user_id: str, app_id: str, id: str, version_id: str = ""
) -> ModelAndVersion | None:
    """A model with the named version, else with its newest: what clients ask for most often."""
    named = {"user_id": user_id, "app_id": app_id, "id": id}
    query, values = (_NAMED, {**named, "version_id": version_id}) if version_id else (_NEWEST, named)
    row = connection.execute(query, values).first()
    width = len(_MODEL_COLUMNS)
    return ModelAndVersion(ModelRow(*row[:width]), tuple(row[width:])) if row else None


def find(connection: Connection, user_id: str, app_id: str, id: str) -> ModelRow | None:
    """In a write its app stays as it is until the write ends, and other writers of the app wait."""
    named = (tables.users.c.id == user_id, tables.apps.c.id == app_id, tables.models.c.id == id)
    if must_hold(connection):
        resources.find_app(connection, user_id, app_id)
    return _first(connection, _rows().where(*named))


def find_in_app(connection: Connection, app: int, id: str) -> ModelRow | None:
    return _first(connection, _rows().where(tables.models.c.app == app, tables.models.c.id == id))


def add(connection: Connection, app: int, id: str, model_type: str, message: bytes) -> int:
    """A new model without versions; returns its seq. Raises DuplicateId."""
    time = now()
    row = {"app": app, "id": id, "model_type": model_type, "message": message, "created_at": time, "modified_at": time}
    if find_in_app(connection, app, id):
        raise DuplicateId(f"duplicate id: {shown(id)}")
    with unless_taken(DuplicateId(f"duplicate id: {shown(id)}")):  # PostgreSQL: another transaction was quicker
        result = connection.execute(insert(tables.models).values(row))
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def set_message(connection: Connection, seq: int, message: bytes) -> None:
    connection.execute(
        update(tables.models).where(tables.models.c.seq == seq).values(message=message, modified_at=now())
    )


def touch(connection: Connection, seq: int) -> None:
    """A version came or went: the model is modified."""
    connection.execute(update(tables.models).where(tables.models.c.seq == seq).values(modified_at=now()))


def remove(connection: Connection, seq: int) -> None:
    """With its versions and their logs. Cancel their trainings in the same transaction."""
    connection.execute(delete(tables.models).where(tables.models.c.seq == seq))


def page(connection: Connection, user: int, offset: int, limit: int, wanted: Wanted) -> list[ModelRow]:
    """Models of a user's app, or of all the user's apps."""
    column = tables.models.c[wanted.order]
    order = (column.desc(), tables.models.c.seq.desc()) if wanted.descending else (column, tables.models.c.seq)
    query = _rows().where(*_filters(user, wanted)).order_by(*order)
    if wanted.keep is None and wanted.key is None:
        return _all(connection, query.offset(offset).limit(limit))
    rows = [row for row in _all(connection, query) if wanted.keep is None or wanted.keep(row)]
    if wanted.key is not None:
        rows.sort(key=wanted.key, reverse=wanted.descending)
    return rows[offset : offset + limit]


def newest_versions(connection: Connection, models: Sequence[int]) -> dict[int, versions.Version]:
    """The newest version of each model that has one, by the model's seq."""
    table = tables.model_versions
    newest = select(func.max(table.c.seq)).where(table.c.model.in_(models)).group_by(table.c.model)
    found = [versions.by_seq(connection, seq) for seq in connection.execute(newest).scalars()]
    return {version.model: version for version in found if version}


def newest_trained(connection: Connection, model: int) -> versions.Version | None:
    """The newest version that can predict."""
    table = tables.model_versions
    trained = (table.c.model == model, table.c.status == int(versions.Status.TRAINED))
    seq = connection.execute(select(func.max(table.c.seq)).where(*trained)).scalar()
    return versions.by_seq(connection, seq) if seq else None


def newest_trained_of_type(connection: Connection, app: int, model_type: str) -> versions.Version | None:
    """The newest version that can predict, of any of the app's models of that type."""
    table = tables.model_versions
    of_type = select(tables.models.c.seq).where(tables.models.c.app == app, tables.models.c.model_type == model_type)
    trained = (table.c.model.in_(of_type), table.c.status == int(versions.Status.TRAINED))
    seq = connection.execute(select(func.max(table.c.seq)).where(*trained)).scalar()
    return versions.by_seq(connection, seq) if seq else None


def under_way(connection: Connection, model: int) -> list[tuple[int, str, State]]:
    """(seq, version id, state of its job) of the model's versions whose training waits or runs."""
    jobs, table = tables.jobs, tables.model_versions
    query = (
        select(table.c.seq, table.c.id, jobs.c.state)
        .join(jobs, jobs.c.subject == table.c.seq)
        .where(jobs.c.kind == "training", jobs.c.state.in_([State.QUEUED, State.RUNNING]), table.c.model == model)
    )
    return [(seq, id, State(state)) for seq, id, state in connection.execute(query)]


def _rows() -> Select[Any]:
    above = (tables.apps.c.id.label("app_id"), tables.users.c.id.label("user_id"))
    joined = tables.models.join(tables.apps, tables.apps.c.seq == tables.models.c.app)
    return select(tables.models, *above).select_from(
        joined.join(tables.users, tables.users.c.seq == tables.apps.c.user)
    )


def _filters(user: int, wanted: Wanted) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = [tables.apps.c.user == user]
    of_model = tables.model_versions.c.model == tables.models.c.seq
    if wanted.app is not None:
        filters.append(tables.models.c.app == wanted.app)
    if wanted.model_types:
        filters.append(tables.models.c.model_type.in_(wanted.model_types))
    if wanted.version_ids:
        filters.append(select(1).where(of_model, tables.model_versions.c.id.in_(wanted.version_ids)).exists())
    if wanted.trained_only:
        trained = tables.model_versions.c.status == int(versions.Status.TRAINED)
        filters.append(select(1).where(of_model, trained).exists())
    return filters


def _first(connection: Connection, query: Select[Any]) -> ModelRow | None:
    row = connection.execute(query).mappings().first()
    return ModelRow(**row) if row else None


def _all(connection: Connection, query: Select[Any]) -> list[ModelRow]:
    return [ModelRow(**row) for row in connection.execute(query).mappings()]


# -- a model with one of its versions, in one query --------------------------------------------------------------------

_ABOVE = {"app_id": tables.apps.c.id, "user_id": tables.users.c.id}
_MODEL_COLUMNS = [_ABOVE[name] if name in _ABOVE else tables.models.c[name] for name in ModelRow.__dataclass_fields__]


def _with_version(join: ColumnElement[bool]) -> Select[Any]:
    """Prepared once: with bound parameters the statement need not be compiled at each call."""
    above = tables.models.join(tables.apps, tables.apps.c.seq == tables.models.c.app)
    joined = above.join(tables.users, tables.users.c.seq == tables.apps.c.user).outerjoin(tables.model_versions, join)
    return (
        select(*_MODEL_COLUMNS, *tables.model_versions.c)
        .select_from(joined)
        .where(
            tables.users.c.id == bindparam("user_id"),
            tables.apps.c.id == bindparam("app_id"),
            tables.models.c.id == bindparam("id"),
        )
    )


_newer = tables.model_versions.alias("newer")
_newest_seq = select(func.max(_newer.c.seq)).where(_newer.c.model == tables.models.c.seq).correlate(tables.models)
_NEWEST = _with_version(tables.model_versions.c.seq == _newest_seq.scalar_subquery())
_NAMED = _with_version(
    and_(
        tables.model_versions.c.model == tables.models.c.seq,
        tables.model_versions.c.id == bindparam("version_id"),
    )
)
