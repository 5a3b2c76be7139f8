from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.store.database import Database
from luthier.store.migrations import migrate
from tests.worker.world import World


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database.at(tmp_path / "luthier.db")
    migrate(made)
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data")
    yield made
    made.close()
