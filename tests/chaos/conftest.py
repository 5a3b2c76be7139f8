"""One server per kind of database for the whole folder. With --chaos every test runs at the size of its promise."""

from collections.abc import Iterator

import pytest

from tests.chaos.apart import Apart
from tests.e2e.conftest import new_server


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--chaos"))


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def apart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    root = tmp_path_factory.mktemp(f"chaos-{request.param}")
    settings = {"training_threads": "1", "disk_reserve_mb": "1"}
    if request.param == "sqlite":
        with Apart(new_server(root, **settings)) as made:
            yield made
        return
    with (
        request.getfixturevalue("postgres").bare() as url,
        Apart(new_server(root, database_url=url, **settings)) as made,
    ):
        yield made
