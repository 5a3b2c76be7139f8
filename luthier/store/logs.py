"""The log of a training, kept as text appended piece by piece. Next: `versions`."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from luthier.store.tables import log_chunks

LARGEST_CHUNK = 64 * 1024  # characters; a row stays small whatever a trainer prints
_ROWS = 64


def append(connection: Connection, version: int, text: str) -> None:
    """Adds to a version's log. NUL, which PostgreSQL cannot hold, becomes U+2400."""
    clean = text.replace("\0", "\u2400")
    rows = [{"version": version, "text": clean[at : at + LARGEST_CHUNK]} for at in range(0, len(clean), LARGEST_CHUNK)]
    if rows:
        connection.execute(log_chunks.insert(), rows)


def length(connection: Connection, version: int) -> int:
    """Characters of the log so far."""
    total = select(func.coalesce(func.sum(func.length(log_chunks.c.text)), 0)).where(log_chunks.c.version == version)
    return int(connection.execute(total).scalar_one())


def read(connection: Connection, version: int) -> Iterator[str]:
    """The whole log so far, in pieces; never held whole."""
    after = 0
    while True:
        later = (log_chunks.c.version == version, log_chunks.c.seq > after)
        some = select(log_chunks.c.seq, log_chunks.c.text).where(*later).order_by(log_chunks.c.seq).limit(_ROWS)
        rows = connection.execute(some).all()
        for after, text in rows:  # noqa: B007 - the last seq is where the next page begins
            yield text
        if len(rows) < _ROWS:
            return
