"""How a database is opened: SQLite in a file of this machine, PostgreSQL by its URL. Next: `database`."""

import re
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from luthier.errors import InvalidSettings
from luthier.settings import without_password

BUSY_SECONDS = 30.0  # how long a writer waits for another
CONNECT_SECONDS = 10
# A server that vanishes without a word (a cut cable, a host that is gone) is noticed within some 15 seconds.
NOTICE_A_DEAD_SERVER = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,  # milliseconds
}
WRITE = "luthier_write"  # execution option of a connection that `Database.write` gave
# Execution options of a query that is planned in the same way whatever it asks for: by keys of rows, in short.
BY_KEY = {"luthier_by_key": True}
FORM = "give postgresql+psycopg://user:password@host:5432/name, or unset it to use SQLite in the data folder"
_POSTGRESQL = re.compile(r"postgres(ql)?(\+psycopg)?://")


def engine_for(url: str) -> Engine:
    """Nothing is connected yet. Raises InvalidSettings for a URL of another form."""
    return sqlite(url) if url.startswith("sqlite") else postgresql(url)


def sqlite(url: str) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        pool_size=16,
        max_overflow=-1,  # as many as ask: a thread that waited for one could hold what the others wait for
        hide_parameters=True,  # users' data stays out of the log
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; _begin below does
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(WRITE, False)
        if immediate:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:  # cannot fail, and is half of what a small read costs when it goes the long way round
            connection.connection.driver_connection.execute("BEGIN")  # type: ignore[union-attr]

    return engine


def postgresql(url: str) -> Engine:
    if not _POSTGRESQL.match(url):
        raise refused(url)
    try:
        target = make_url(_POSTGRESQL.sub("postgresql+psycopg://", url, count=1))
        engine = create_engine(
            target,
            connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "luthier", **NOTICE_A_DEAD_SERVER},
            pool_size=8,  # of PostgreSQL's usual 100 a server with one worker takes some 40 at most
            max_overflow=16,
            pool_pre_ping=True,  # the server may have been restarted since
            hide_parameters=True,
        )
    except (ArgumentError, ValueError) as error:
        raise refused(url) from error
    except ModuleNotFoundError as error:
        raise InvalidSettings(
            "LUTHIER_DATABASE_URL names a PostgreSQL database, and psycopg, which talks to it, is not installed: "
            "pip install 'luthier[postgres]'"
        ) from error

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.execute(f"SET lock_timeout = '{BUSY_SECONDS:.0f}s'")
        connection.commit()

    @event.listens_for(engine, "do_execute")
    def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        """Of what is read, queries by key are planned once per connection, the others each time: PostgreSQL would plan
        for a concept with as many inputs as concepts have in the middle, and one may have none, another a million.
        """
        if context.execution_options.get(WRITE) or hasattr(cursor, "name"):
            return False  # as the driver does it: it prepares writes by itself, and a cursor of the server's never
        cursor.execute(statement, parameters, prepare=context.execution_options.keys() >= BY_KEY.keys())
        return True

    return engine


def refused(url: str) -> InvalidSettings:
    return InvalidSettings(f"LUTHIER_DATABASE_URL is {without_password(url)}: {FORM}")


def require_reachable(engine: Engine) -> None:
    """Raises InvalidSettings, in the driver's words, where PostgreSQL does not answer or cannot hold every text."""
    if engine.dialect.name != "postgresql":
        return
    where = f"LUTHIER_DATABASE_URL is {without_password(engine.url.render_as_string(hide_password=True))}"
    try:
        with engine.connect() as connection:
            encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    except OperationalError as error:
        says = " ".join(str(error.orig).split())
        raise InvalidSettings(f"{where}, which does not answer: {says or 'no reason given'}") from error
    if encoding != "UTF8":
        raise InvalidSettings(f"{where}, whose encoding is {encoding}; make one with: createdb --encoding=UTF8 NAME")
