"""Vectors that an embedder has made of an app's pictures, and which pictures have none yet. Next: `nearest`.

A picture of which no vector can be made has a row all the same, of width 0, so that it is not asked for again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, exists, func, not_, select

from luthier.store.database import insert_rows
from luthier.store.fetches import GOOD_INPUT
from luthier.store.jobs import State
from luthier.store.tables import inputs, jobs, vectors

JOB = "vectors"  # makes what is missing; its subject is the version of the embedder
_ROWS = 5000


@dataclass(frozen=True)
class Picture:
    input: int  # seq
    blob: str


@dataclass(frozen=True)
class VectorRow:
    seq: int
    input: int  # seq
    vector: bytes  # float32, little-endian


@dataclass(frozen=True)
class Stamp:
    """Two that are equal were taken of the same vectors: a number is never used again."""

    count: int
    newest: int


def missing(connection: Connection, version: int, app: int, limit: int) -> list[Picture]:
    """Pictures of the app that this version has not looked at yet, in order of creation."""
    query = select(inputs.c.seq, inputs.c.blob).where(*_lacks(version, app)).order_by(inputs.c.seq).limit(limit)
    return [Picture(*row) for row in connection.execute(query)]


def count_missing(connection: Connection, version: int, app: int) -> int:
    query = select(func.count()).select_from(inputs).where(*_lacks(version, app))
    return int(connection.execute(query).scalar_one())


def keep(connection: Connection, version: int, found: Sequence[tuple[int, bytes]]) -> None:
    """(seq of an input, its vector) each, b"" for none; what another has kept meanwhile, or is deleted, is left out."""
    still = select(inputs.c.seq).where(inputs.c.seq.in_([seq for seq, _ in found]))
    there = set(connection.execute(still.with_for_update(read=True, key_share=True)).scalars())
    rows = [
        {"version": version, "input": seq, "width": len(vector) // 4, "vector": vector}
        for seq, vector in found
        if seq in there
    ]
    insert_rows(connection, vectors, rows, unless_there=True)


def stamp(connection: Connection, version: int) -> Stamp:
    query = select(func.count(), func.max(vectors.c.seq)).where(*_of(version))
    count, newest = connection.execute(query).one()
    return Stamp(int(count), int(newest or 0))


def after(connection: Connection, version: int, seq: int) -> Iterator[VectorRow]:
    """Those with a greater number, in order."""
    columns = select(vectors.c.seq, vectors.c.input, vectors.c.vector)
    while True:
        query = columns.where(*_of(version), vectors.c.seq > seq).order_by(vectors.c.seq).limit(_ROWS)
        rows = [VectorRow(*row) for row in connection.execute(query)]
        yield from rows
        if len(rows) < _ROWS:
            return
        seq = rows[-1].seq


def numbers(connection: Connection, version: int) -> list[int]:
    """The numbers of all of them, in order."""
    return list(connection.execute(select(vectors.c.seq).where(*_of(version)).order_by(vectors.c.seq)).scalars())


def job_state(connection: Connection, version: int) -> State | None:
    """Of the last job that was to make vectors with this version."""
    mine = (jobs.c.kind == JOB, jobs.c.subject == version)
    state = connection.execute(select(jobs.c.state).where(*mine).order_by(jobs.c.seq.desc()).limit(1)).scalar()
    return State(state) if state else None


def _of(version: int) -> tuple[ColumnElement[bool], ...]:
    return vectors.c.version == version, vectors.c.width > 0


def _lacks(version: int, app: int) -> tuple[ColumnElement[bool], ...]:
    made = exists(select(1).where(vectors.c.version == version, vectors.c.input == inputs.c.seq))
    return inputs.c.app == app, inputs.c.kind == "image", inputs.c.status == GOOD_INPUT, not_(made)
