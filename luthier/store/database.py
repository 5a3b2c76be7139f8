"""The connection: one Database per process, one short transaction per call. Next: `resources` and `jobs`."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Select,
    String,
    Table,
    Text,
    any_,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from luthier.settings import Settings, without_password
from luthier.store.conflicts import in_words
from luthier.store.engines import BY_KEY, WRITE, engine_for, refused, require_reachable

# Connection: what rooms above name in annotations, SQL being ours alone
__all__ = ["BY_KEY", "Connection", "Database", "now"]

Rows = TypeVar("Rows", bound=Select[Any])


class Database:
    """Reads with `read()`, writes with `write()`; both are context managers that give a Connection.

    SQLite runs in WAL mode with synchronous=FULL: what a committed `write()` wrote survives a power cut. Writers take
    the lock when they begin, so two of them queue and never dead-lock; within this process they queue on a mutex,
    which is fairer than SQLite's own retries.

    PostgreSQL has many writers. What a write looks up to change it, it holds (`held`): of an app's data the app's row,
    so the writers of one app queue and those of several do not. A read sees one moment's state on both.
    """

    def __init__(self, url: str) -> None:
        self.engine = engine_for(url)
        self._writing = threading.Lock() if self.engine.dialect.name == "sqlite" else None

    @classmethod
    def of(cls, settings: Settings) -> "Database":
        """PostgreSQL where LUTHIER_DATABASE_URL names one, else SQLite in the data folder. Raises InvalidSettings."""
        url = settings.database_url
        if url.startswith("sqlite"):
            raise refused(url)
        return cls(url) if url else cls.at(settings.database_file)

    @classmethod
    def at(cls, file: Path) -> "Database":
        file.parent.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{file}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with in_words(), self.engine.connect() as connection:
            if not self.local:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection
            if not self.local:
                connection.commit()  # at a rollback the driver would drop what it has prepared

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with in_words():
            writing = self.engine.connect().execution_options(**{WRITE: True})
            with self._writing or nullcontext(), writing as connection, connection.begin():
                yield connection

    def require_reachable(self) -> None:
        """Raises InvalidSettings where the database does not answer."""
        require_reachable(self.engine)

    @property
    def where(self) -> str:
        """The file, or the URL without its password."""
        url = self.engine.url
        return str(url.database) if self.local else without_password(url.render_as_string(hide_password=True))

    @property
    def local(self) -> bool:
        """A file on this machine, whose readers wait for nobody."""
        return self.engine.dialect.name == "sqlite"

    def commits(self) -> "Commits":
        return Commits(self)

    def close(self) -> None:
        self.engine.dispose()


class Commits:
    """Tells whether anything was committed since the last look, by any process: what a cache must ask to be exact.

    SQLite counts the commits of other connections per connection (PRAGMA data_version), so this one only ever asks.
    On other databases there is no such count: every look then says yes.
    """

    def __init__(self, database: Database) -> None:
        self._lock = threading.Lock()
        self._connection: Any = None
        if database.local:
            self._connection = sqlite3.connect(str(database.engine.url.database), check_same_thread=False)

    def stamp(self) -> object:
        """Equal to an earlier stamp only if nothing was committed in between."""
        if self._connection is None:
            return object()
        with self._lock:
            return self._connection.execute("PRAGMA data_version").fetchone()[0]


def now() -> float:
    """Unix seconds, for columns that people read; durations are measured with a monotonic clock elsewhere."""
    return time.time()


def must_hold(connection: Connection) -> bool:
    """Whether this is a write beside which others run: what it looks up to change it, it must hold (`held`)."""
    return bool(connection.get_execution_options().get(WRITE)) and connection.dialect.name == "postgresql"


def held(connection: Connection, query: Rows, table: Table) -> Rows:
    """The query; where `must_hold`, the rows of `table` that it finds stay as they are until the write ends.

    Of the other tables in it the query may see what was there before it waited: look those up afterwards.
    """
    return query.with_for_update(of=table, key_share=True) if must_hold(connection) else query


def one_of(connection: Connection, column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Whether `column` is one of `values`, which may be thousands.

    PostgreSQL gets them as one array: a placeholder for each takes longer to write and read than the rows.
    """
    if connection.dialect.name == "sqlite":
        return column.in_(values)
    return column == any_(literal(list(values), ARRAY(_unbounded(column.type))))


def insert_unless(connection: Connection, table: Table) -> Insert:
    """An insert that leaves out, without an error, rows that the table's unique constraints refuse."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return make(table).on_conflict_do_nothing()


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, unless_there: bool = False
) -> None:
    """Many rows with the same columns; with `unless_there` those that a unique constraint refuses are left out.

    PostgreSQL gets them as one statement with an array per column, a statement per row being several times as slow.
    """
    statement = insert_unless(connection, table) if unless_there else insert(table)
    if connection.dialect.name == "sqlite" or not rows:
        if rows:
            connection.execute(statement, rows)
        return
    names = list(rows[0])
    columns = [literal([row[name] for row in rows], ARRAY(_unbounded(table.c[name].type))) for name in names]
    arrays = func.unnest(*columns).table_valued(*names, name="given").render_derived()
    connection.execute(statement.from_select(names, select(*(arrays.c[name] for name in names))))


def _unbounded(type: TypeEngine[Any]) -> TypeEngine[Any]:
    """A cast to VARCHAR(n) would cut what is too long; the column itself refuses it."""
    return Text() if isinstance(type, String) else type
