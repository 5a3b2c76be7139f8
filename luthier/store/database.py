"""The connection: one Database per process, one short transaction per call. Next: `resources` and `jobs`."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

__all__ = ["Connection", "Database", "now"]  # Connection: what rooms above name in annotations, SQL being ours alone

BUSY_SECONDS = 30.0


class Database:
    """Reads with `read()`, writes with `write()`; both are context managers that give a Connection.

    SQLite runs in WAL mode with synchronous=FULL: what a committed `write()` wrote survives a power cut. Writers take
    the lock when they begin, so two of them queue and never dead-lock; within this process they queue on a mutex,
    which is fairer than SQLite's own retries.
    """

    def __init__(self, url: str) -> None:
        self.engine = _sqlite(url) if url.startswith("sqlite") else create_engine(url, pool_size=16, max_overflow=16)
        self._writing = threading.Lock() if self.engine.dialect.name == "sqlite" else None

    @classmethod
    def at(cls, file: Path) -> "Database":
        file.parent.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{file}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self._writing is None:
            with self.engine.begin() as connection:
                yield connection
            return
        writing = self.engine.connect().execution_options(luthier_write=True)
        with self._writing, writing as connection, connection.begin():
            yield connection

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


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, pool_size=16, max_overflow=16
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; _begin below does
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("luthier_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine
