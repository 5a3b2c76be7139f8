"""What PostgreSQL plans once per connection, and what anew each time."""

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, text

from luthier.store.database import BY_KEY, Database
from luthier.store.tables import users
from tests.postgres import Postgres


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    with postgres.database() as url:
        made = Database(url)
        yield made
        made.close()


def prepared(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(text("SELECT statement FROM pg_prepared_statements")).scalars())


def test_queries_by_key_are_planned_once_and_others_each_time(database: Database) -> None:
    by_key = select(users.c.id).where(users.c.seq == 1).execution_options(**BY_KEY)
    for _ in range(8):
        with database.read() as connection:
            assert connection.execute(by_key).all() == []
            assert connection.execute(select(users.c.seq).where(users.c.id == "a")).all() == []
    (statement,) = prepared(database)
    assert "users.seq = $1" in statement


def test_rows_that_come_as_they_are_asked_for(database: Database) -> None:
    with database.read() as connection:
        stream = connection.execute(select(func.generate_series(1, 10)), execution_options={"yield_per": 3})
        assert [len(rows) for rows in stream.partitions()] == [3, 3, 3, 1]
