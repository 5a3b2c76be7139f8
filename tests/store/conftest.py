from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.settings import Settings
from luthier.store.database import Database
from tests import sqlite
from tests.worker.world import World


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    """Without rows; each test runs on both kinds."""
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    if not database_url:
        sqlite.make(settings.database_file)
    made = Database.of(settings)
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    made = World(tmp_path / "data", database_url=database_url)
    yield made
    made.close()
