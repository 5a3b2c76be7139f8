"""SQLite files with all tables and no rows: migrated once, then copied, which is some twenty times as quick."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from luthier.store.database import Database
from luthier.store.migrations import migrate


def make(file: Path) -> None:
    """Where nothing is there yet."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_migrated(), file)


@cache
def _migrated() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="luthier-tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "luthier.db"
    database = Database.at(file)
    migrate(database)
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return file
