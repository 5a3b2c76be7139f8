"""URLs whose bytes a call waits for, such as pictures to predict: asked, answered by a worker, read, forgotten.

Next: `rpcs/fetched`, which asks, and `worker/fetch_job`, which answers.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from luthier.store import jobs
from luthier.store.database import now
from luthier.store.fetches import Fetched, ToFetch
from luthier.store.tables import asked_urls
from luthier.store.urls import Url

WAITING = 0


def ask(connection: Connection, user: str, wanted: Sequence[tuple[str, Url]]) -> list[int]:
    """(image, text or video; URL) each, with the job that fetches them; returns their seqs, in order."""
    seqs = []
    for kind, url in wanted:
        row = {"kind": kind, "url": url.text, "status": WAITING, "details": "", "blob": "", "created_at": now()}
        made = connection.execute(insert(asked_urls).values(**row))
        seqs.append(int(made.inserted_primary_key[0]))  # type: ignore[index]
    jobs.enqueue(connection, "fetch_now", "data", user, {"rows": seqs})
    return seqs


def waiting(connection: Connection, seqs: Sequence[int]) -> list[ToFetch]:
    """Those that a call still waits for."""
    rows = select(asked_urls.c.seq, asked_urls.c.kind, asked_urls.c.url)
    still = (asked_urls.c.seq.in_(seqs), asked_urls.c.status == WAITING)
    return [ToFetch(*row) for row in connection.execute(rows.where(*still).order_by(asked_urls.c.seq))]


def apply(connection: Connection, fetched: Sequence[Fetched]) -> None:
    """WAITING -> what came of it; one that nobody waits for any more is gone and left alone."""
    if not fetched:
        return
    here = (asked_urls.c.seq == bindparam("which"), asked_urls.c.status == WAITING)
    columns = ("status", "details", "blob")
    statement = update(asked_urls).where(*here).values(url="", **{name: bindparam(f"to_{name}") for name in columns})
    rows = [{"which": row.seq, **{f"to_{name}": getattr(row, name) for name in columns}} for row in fetched]
    connection.execute(statement, rows)


def answered(connection: Connection, seqs: Sequence[int]) -> dict[int, Fetched]:
    """What has come of those that wait no more."""
    rows = select(asked_urls.c.seq, asked_urls.c.status, asked_urls.c.details, asked_urls.c.blob)
    there = (asked_urls.c.seq.in_(seqs), asked_urls.c.status != WAITING)
    return {row.seq: Fetched(*row) for row in connection.execute(rows.where(*there))}


def forget(connection: Connection, seqs: Sequence[int]) -> None:
    """Drops the texts of URLs that wait no more; the call that asked removes the rows."""
    ended = (asked_urls.c.seq.in_(seqs), asked_urls.c.status != WAITING)
    connection.execute(update(asked_urls).where(*ended).values(url=""))


def remove(connection: Connection, seqs: Sequence[int]) -> None:
    connection.execute(delete(asked_urls).where(asked_urls.c.seq.in_(seqs)))


def remove_old(connection: Connection, before: float) -> None:
    """Rows of calls that died before they removed them."""
    connection.execute(delete(asked_urls).where(asked_urls.c.created_at < before))
