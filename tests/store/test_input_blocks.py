"""Pages of an app's inputs, near and far, after inputs have come and gone; and databases of the first release."""

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, column, delete, insert, select
from sqlalchemy import table as sql_table

from luthier.store import input_blocks, inputs
from luthier.store.database import Database
from luthier.store.inputs import NewInput
from luthier.store.migrations import migrate
from luthier.store.tables import apps, labels, users
from luthier.store.tables import input_blocks as table

TIMES = {"created_at": 1.0, "modified_at": 1.0}


def make_apps(database: Database) -> list[int]:
    with database.write() as connection:
        user = connection.execute(insert(users).values(id="ada", message=b"", created_at=1.0)).inserted_primary_key[0]
        made = [insert(apps).values(user=user, id=id, message=b"", **TIMES) for id in ("one", "two")]
        return [int(connection.execute(one).inserted_primary_key[0]) for one in made]


def add(database: Database, app: int, ids: list[str]) -> list[int]:
    new = [NewInput(id, "image", "", 0, "PNG", 8, 8, "", 30000, b"") for id in ids]
    with database.write() as connection:
        return [row.seq for row in inputs.add(connection, app, new, None)]


def page(database: Database, app: int, offset: int, limit: int = 5) -> list[str]:
    with database.read() as connection:
        return [row.id for row in inputs.page(connection, app, offset, limit)]


def test_every_page_is_where_it_belongs(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_blocks, "BLOCK", 8)
    app, other = make_apps(database)
    have, chance = [], random.Random(0)
    for step in range(12):
        ids = [f"{step}-{number}" for number in range(chance.randrange(1, 20))]
        seqs = add(database, app, ids)
        have += list(zip(ids, seqs, strict=True))
        add(database, other, [f"other-{step}-{number}" for number in range(chance.randrange(1, 9))])
        gone = chance.sample(have, len(have) // 6)
        with database.write() as connection:
            inputs.remove(connection, [seq for _, seq in gone])
        have = [one for one in have if one not in gone]
    assert len(have) > 30
    for offset in range(len(have) + 12):
        assert page(database, app, offset) == [id for id, _ in have[offset : offset + 5]]
    with database.write() as connection:
        inputs.remove(connection, [seq for _, seq in have])
    assert page(database, app, 0) == page(database, app, 20) == []
    with database.read() as connection:
        assert connection.execute(select(table).where(table.c.app == app)).all() == []


def test_the_counts_go_with_their_app(database: Database) -> None:
    app, other = make_apps(database)
    add(database, app, ["a"])
    add(database, other, ["b"])
    with database.write() as connection:
        connection.execute(delete(apps).where(apps.c.seq == app))
    with database.read() as connection:
        assert [row.app for row in connection.execute(select(table))] == [other]


def put(connection: Connection, into: str, /, **values: Any) -> None:
    """Without the columns that a table has got since."""
    connection.execute(insert(sql_table(into, *map(column, values))).values(**values))


def test_p30_a_database_of_the_first_release_is_counted_as_it_is_brought_up(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "old.db")
    migrate(database, "v0001")
    made: dict[str, Any] = {"app": 1, "message": b"", **TIMES}
    picture = {"kind": "image", "blob": "", "size": 0, "format": "PNG", "width": 8, "height": 8, "split": ""}
    with database.write() as connection:
        put(connection, "users", seq=1, id="ada", message=b"", created_at=1.0)
        put(connection, "apps", seq=1, user=1, id="one", message=b"", **TIMES)
        put(connection, "concepts", seq=1, id="cat", name="cat", **made)
        for seq in (1, 4095, 4096, 9000):
            put(connection, "inputs", seq=seq, id=str(seq), status=30000, details="", **picture, **made)
        for seq, status in ((1, 24150), (2, 24151)):
            note = {"input": 1, "user": "ada", "own": False, "status": status}
            put(connection, "annotations", seq=seq, id=str(seq), **note, **made)
            put(connection, "labels", annotation=seq, concept=1, input=1, value=1)
    migrate(database)
    with database.read() as connection:
        assert [tuple(row) for row in connection.execute(select(table))] == [(1, 0, 2), (1, 1, 1), (1, 2, 1)]
        counting = select(labels.c.counting).order_by(labels.c.annotation)
        assert list(connection.execute(counting).scalars()) == [True, False]
    assert migrate(database, "v0001")[1] == "v0001"
