"""Inputs that are to be fetched: where from, and what came of it. Next: `worker/fetch_job`, which fetches.

A URL may hold a secret: its text is dropped with the answer, its hash stays to know the same URL again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from luthier.store.database import now
from luthier.store.snapshots import GOOD_INPUT, PENDING_INPUT
from luthier.store.tables import input_urls, inputs
from luthier.store.urls import Url

__all__ = [
    "GOOD_INPUT",
    "PENDING_INPUT",
    "Fetched",
    "ToFetch",
    "add",
    "apply",
    "forget",
    "hashes",
    "inputs_of",
    "waiting",
]


@dataclass(frozen=True)
class ToFetch:
    seq: int
    kind: str  # image or text
    url: str


@dataclass(frozen=True)
class Fetched:
    """What came of one. `status` is PENDING_INPUT for a picture, which is now checked as an uploaded one is."""

    seq: int
    status: int
    details: str = ""
    blob: str = ""
    size: int = 0
    format: str = ""


def add(connection: Connection, app: int, urls: Sequence[tuple[int, Url]]) -> None:
    """(input's seq, where its bytes are to come from)."""
    rows = [{"input": seq, "app": app, "hash": url.hash, "url": url.text} for seq, url in urls]
    if rows:
        connection.execute(insert(input_urls), rows)


def waiting(connection: Connection, seqs: Sequence[int]) -> list[ToFetch]:
    """Those of the inputs that are still there and have not been fetched."""
    joined = inputs.join(input_urls, input_urls.c.input == inputs.c.seq)
    rows = select(inputs.c.seq, inputs.c.kind, input_urls.c.url).select_from(joined)
    open_ones = (inputs.c.seq.in_(seqs), inputs.c.status == PENDING_INPUT, input_urls.c.url != "")
    return [ToFetch(*row) for row in connection.execute(rows.where(*open_ones).order_by(inputs.c.seq))]


def apply(connection: Connection, fetched: Sequence[Fetched]) -> None:
    """PENDING_INPUT without bytes -> with bytes, or its error; at most 128. One that is gone is left alone."""
    if not fetched:
        return
    here = (inputs.c.seq == bindparam("which"), inputs.c.status == PENDING_INPUT, inputs.c.blob == "")
    columns = ("status", "details", "blob", "size", "format")
    statement = update(inputs).where(*here).values(**{name: bindparam(f"to_{name}") for name in columns})
    statement = statement.values(modified_at=now())
    connection.execute(statement, [_row(row, columns) for row in fetched])
    forget(connection, [row.seq for row in fetched])


def forget(connection: Connection, seqs: Sequence[int]) -> None:
    """Drops the text of their URLs: those inputs have been fetched, or were cancelled before."""
    connection.execute(update(input_urls).where(input_urls.c.input.in_(seqs)).values(url=""))


def _row(row: Fetched, columns: Iterable[str]) -> dict[str, object]:
    return {"which": row.seq, **{f"to_{name}": getattr(row, name) for name in columns}}


def hashes(connection: Connection, seqs: Sequence[int]) -> dict[int, str]:
    """Of the inputs that came by URL, the hash of it."""
    rows = select(input_urls.c.input, input_urls.c.hash).where(input_urls.c.input.in_(seqs))
    return {row.input: row.hash for row in connection.execute(rows)}


def inputs_of(connection: Connection, app: int, wanted: Iterable[str]) -> dict[str, str]:
    """Hash of a URL -> id of an input of the app that has it or waits for it; one that failed does not count."""
    joined = inputs.join(input_urls, input_urls.c.input == inputs.c.seq)
    rows = select(input_urls.c.hash, inputs.c.id).select_from(joined)
    same = (input_urls.c.app == app, input_urls.c.hash.in_(list(wanted)))
    alive = inputs.c.status.in_((PENDING_INPUT, GOOD_INPUT))
    return {row.hash: row.id for row in connection.execute(rows.where(*same, alive).order_by(inputs.c.seq.desc()))}
