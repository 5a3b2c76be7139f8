from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.store.database import Database
from luthier.store.migrations import migrate
from tests.store import postgres
from tests.worker.world import World

KINDS = ["sqlite", "postgresql"] if postgres.HERE else ["sqlite"]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database.at(tmp_path / "luthier.db")
    migrate(made)
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Empty and migrated; PostgreSQL too, where the machine has it."""
    url = (
        request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/luthier.db"
    )
    made = Database(url)
    migrate(made)
    yield made
    if request.param == "postgresql":
        migrate(made, "base")
    made.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data")
    yield made
    made.close()
