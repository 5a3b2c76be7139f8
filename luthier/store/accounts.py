"""Users as the command line needs them: found by id, listed, added. Their tokens are in `tokens`."""

from sqlalchemy import Connection, insert, select

from luthier.store.database import now
from luthier.store.tables import users


def ids(connection: Connection) -> list[str]:
    """Every user's id, the first one first."""
    return list(connection.execute(select(users.c.id).order_by(users.c.seq)).scalars())


def find(connection: Connection, id: str) -> int | None:
    """The user's seq."""
    return connection.execute(select(users.c.seq).where(users.c.id == id)).scalar()


def add(connection: Connection, id: str) -> int:
    """A new user without tokens; returns its seq. The id must be free."""
    result = connection.execute(insert(users).values(id=id, message=b"", created_at=now()))
    return int(result.inserted_primary_key[0])  # type: ignore[index]
