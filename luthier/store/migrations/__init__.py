"""Brings a database to the form that this program knows, all of it or nothing. Next: `versions/`, one file per step."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from luthier.errors import InvalidSettings
from luthier.store.database import Database

FOLDER = Path(__file__).parent
_ONE_AT_A_TIME = 0x4C757468  # PostgreSQL's name of the lock that a migration holds


def migrate(database: Database, to: str = "head") -> tuple[str, str]:
    """(revision before, revision after); "" is an empty database. `to` may name an older revision, or "base".

    Runs in one transaction: killed at any point, the database is as it was. Raises InvalidSettings, and touches
    nothing, where a newer Luthier has written it.
    """
    script = ScriptDirectory(str(FOLDER))
    with database.read() as connection:
        before = _known_revision(connection, script, database)
    target = {"head": script.get_current_head() or "", "base": ""}.get(to, to)
    if before == target:
        return before, before
    with database.write() as connection:
        if not database.local:
            connection.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
        before = _known_revision(connection, script, database)  # another process may have been quicker
        older = target == "" or (before != "" and target in _ancestors(script, before))
        (command.downgrade if older else command.upgrade)(_config(connection), target or "base")
        return before, _revision(connection)


def revision(database: Database) -> str:
    """The revision that the database has; "" where it has no tables."""
    with database.read() as connection:
        return _revision(connection)


def head() -> str:
    """The revision that this program writes."""
    return ScriptDirectory(str(FOLDER)).get_current_head() or ""


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def _known_revision(connection: Connection, script: ScriptDirectory, database: Database) -> str:
    revision = _revision(connection)
    if revision and revision not in {known.revision for known in script.walk_revisions()}:
        raise InvalidSettings(
            f"database {database.where} has revision {revision!r}, which this version of Luthier does not know: a "
            "newer one has written it. Install that version again, or restore a backup made before"
        )
    return revision


def _ancestors(script: ScriptDirectory, revision: str) -> set[str]:
    return {older.revision for older in script.iterate_revisions(revision, "base")} - {revision}
