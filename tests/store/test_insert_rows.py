"""Many rows at once arrive as they were, on both kinds of database."""

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from luthier.errors import LuthierError
from luthier.store.database import Database, insert_rows
from luthier.store.tables import apps, datasets, inputs, users

TIMES = {"created_at": 0.1 + 0.2, "modified_at": 1e300}


@pytest.fixture
def app(database: Database) -> int:
    with database.write() as connection:
        connection.execute(insert(users).values(id="ada", message=b"", created_at=1.0))
        connection.execute(
            insert(apps).values(user=select(users.c.seq).scalar_subquery(), id="a", message=b"", **TIMES)
        )
        return int(connection.execute(select(apps.c.seq)).scalar_one())


def row(app: int, id: str, details: str = "") -> dict[str, object]:
    size = {"size": 2**31 - 1, "width": 0, "height": -1}
    message = bytes(range(256)) + b"\\{},\"NULL'"
    words = {"kind": "text", "blob": "", "format": 'a,{}"b\\', "split": "NULL", "details": details}
    return {"app": app, "id": id, "status": 30000, "message": message, "input_job": None, **size, **words, **TIMES}


def test_rows_arrive_as_they_were(database: Database, app: int) -> None:
    given = [row(app, id) for id in ("plain", "with 'quotes', {braces} and \\", "日本 ✓", "NULL", "")]
    with database.write() as connection:
        insert_rows(connection, inputs, [])
        insert_rows(connection, inputs, given)
    with database.read() as connection:
        found = [dict(one) for one in connection.execute(select(inputs).order_by(inputs.c.seq)).mappings()]
    assert [{name: one[name] for name in given[0]} for one in found] == given


def test_what_is_there_is_left_out_only_where_that_is_asked(database: Database, app: int) -> None:
    rows = [{"app": app, "id": id, "message": b"", **TIMES} for id in ("x", "y")]
    with database.write() as connection:
        insert_rows(connection, datasets, rows[:1])
        insert_rows(connection, datasets, rows, unless_there=True)
        assert list(connection.execute(select(datasets.c.id).order_by(datasets.c.seq)).scalars()) == ["x", "y"]
    with pytest.raises((IntegrityError, LuthierError)), database.write() as connection:
        insert_rows(connection, datasets, rows)


def test_nul_in_a_note_is_shown_and_what_is_too_long_is_never_cut(database: Database, app: int) -> None:
    with database.write() as connection:
        insert_rows(connection, inputs, [row(app, "a", "x\0y")])
        assert connection.execute(select(inputs.c.details)).scalar_one() == "x\u2400y"
    if database.local:  # SQLite takes texts of any length
        return
    with pytest.raises(LuthierError), database.write() as connection:
        insert_rows(connection, inputs, [row(app, "i" * 129)])
