from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.store.database import Database
from luthier.store.migrations import migrate


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database.at(tmp_path / "luthier.db")
    migrate(made)
    yield made
    made.close()
