"""How many connections there are, and what a call is told that gets none."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from luthier.errors import TryAgain
from luthier.store.database import Database


def test_as_many_may_read_a_file_as_there_are_threads(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "luthier.db")
    with ExitStack() as stack:
        for _ in range(50):
            connection = stack.enter_context(database.read())
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
    database.close()


def test_a_call_that_gets_no_connection_is_to_be_sent_again(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "luthier.db")
    database.engine = create_engine(database.engine.url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with database.read(), pytest.raises(TryAgain, match="busy"), database.read():
        pass
    database.close()
