"""The migrations make exactly the tables that the program knows, go both ways, and refuse what they do not know."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from luthier.errors import InvalidSettings
from luthier.store.database import Database
from luthier.store.migrations import head, migrate
from luthier.store.tables import metadata
from tests.postgres import Postgres

ROOT = Path(__file__).parents[2]


def made(tmp_path: Path, name: str = "new.db") -> Database:
    return Database.at(tmp_path / name)


def schema(database: Database) -> set[tuple[str, ...]]:
    """Every table and index with its parts; in what order a table names its constraints does not matter."""
    with database.read() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
    skipped = ("alembic_version", "sqlite_sequence")
    plain = {name: " ".join(sql.replace('"', "").replace("(", " ").replace(")", " ").split()) for name, sql in rows}
    return {(name, *sorted(sql.replace(" ,", ",").split(", "))) for name, sql in plain.items() if name not in skipped}


def test_a_new_database_is_brought_to_the_newest_form_once(tmp_path: Path) -> None:
    database = made(tmp_path)
    assert migrate(database) == ("", head())
    assert migrate(database) == (head(), head())


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    migrated, created = made(tmp_path), made(tmp_path, "created.db")
    migrate(migrated)
    metadata.create_all(created.engine)
    with migrated.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert schema(migrated) == schema(created)  # AUTOINCREMENT, foreign keys and all


def test_p30_down_and_up_again(tmp_path: Path) -> None:
    database = made(tmp_path)
    migrate(database)
    before = schema(database)
    assert migrate(database, "base") == (head(), "")
    assert [name for name in inspect(database.engine).get_table_names() if name != "alembic_version"] == []
    assert migrate(database) == ("", head())
    assert schema(database) == before


def test_p30_a_newer_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    database = made(tmp_path)
    migrate(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9999'"))
    database.close()
    before = (tmp_path / "new.db").read_bytes()
    with pytest.raises(InvalidSettings, match="v9999"):
        migrate(database)
    database.close()
    assert (tmp_path / "new.db").read_bytes() == before


def test_p30_killed_at_any_point_it_is_all_or_nothing(tmp_path: Path) -> None:
    code = "import sys\nfrom pathlib import Path\nfrom luthier.store.database import Database\n"
    code += (
        "from luthier.store.migrations import migrate\nprint('go', flush=True)\nmigrate(Database.at(Path(sys.argv[1])))"
    )
    for number in range(5):
        file = tmp_path / f"{number}.db"
        process = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, cwd=ROOT)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.008 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        database = Database.at(file)
        tables = set(inspect(database.engine).get_table_names()) - {"alembic_version"}
        assert tables in (set(), set(metadata.tables))
        migrate(database)
        assert set(inspect(database.engine).get_table_names()) - {"alembic_version"} == set(metadata.tables)
        database.close()


def test_a_number_is_never_used_again(tmp_path: Path) -> None:
    database = made(tmp_path)
    migrate(database)
    add = text("INSERT INTO users (id, message, created_at) VALUES ('a', '', 0)")
    with database.write() as connection:
        connection.execute(add)
        connection.execute(text("DELETE FROM users"))
        connection.execute(add)
        assert connection.execute(text("SELECT seq FROM users")).scalar_one() == 2


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[Database]:
    with postgres.bare() as url:
        made = Database(url)
        yield made
        made.close()


def parts(database: Database) -> dict[str, Any]:
    """Every table with its columns, keys, constraints and indexes, as PostgreSQL describes them."""
    seen = inspect(database.engine)
    return {
        table: {
            "columns": sorted((c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)),
            "key": seen.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(tuple(u["column_names"]) for u in seen.get_unique_constraints(table)),
            "references": sorted(
                (*k["constrained_columns"], k["referred_table"], k["options"]["ondelete"])
                for k in seen.get_foreign_keys(table)
            ),
            "indexes": sorted((str(i["name"]), *map(str, i["column_names"])) for i in seen.get_indexes(table)),
        }
        for table in seen.get_table_names()
        if table != "alembic_version"
    }


def test_p30_postgresql_up_down_and_up_again(empty: Database) -> None:
    assert migrate(empty) == ("", head())
    with empty.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    before = parts(empty)
    assert set(before) == set(metadata.tables)
    assert migrate(empty, "base") == (head(), "")
    assert parts(empty) == {}
    assert migrate(empty) == ("", head())
    assert parts(empty) == before


def test_postgresql_migrated_and_created_tables_agree(empty: Database, postgres: Postgres) -> None:
    migrate(empty)
    with postgres.bare() as url:
        created = Database(url)
        metadata.create_all(created.engine)
        assert parts(empty) == parts(created)
        created.close()


def test_p30_postgresql_a_newer_database_is_refused_and_not_touched(empty: Database) -> None:
    migrate(empty)
    before = parts(empty)
    with empty.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9999'"))
    with pytest.raises(InvalidSettings, match="v9999"):
        migrate(empty)
    assert parts(empty) == before


def test_postgresql_two_programs_migrate_at_once(empty: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: migrate(empty), range(4)))
    assert sorted(answers) == [("", head())] + [(head(), head())] * 3
