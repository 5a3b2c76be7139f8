"""What several rooms' tests share: real handwritten digits, free ports, both kinds of database."""

import io
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import postgres as postgresql

# Tests run side by side, and threads that wait for each other cost most where others want the cores too.
os.environ["OMP_NUM_THREADS"] = "1"
for _variable in [name for name in os.environ if name.startswith(("LUTHIER_", "CLARIFAI_"))]:
    del os.environ[_variable]  # a developer's own server must not be what is tested


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", action="store_true", help="at the full size of the promises")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of what is marked `long`, `make test` asks SQLite alone, `make chaos` both databases."""
    if config.getoption("--chaos"):
        return
    later = [item for item in items if item.get_closest_marker("long") and "postgresql" in item.name]
    config.hook.pytest_deselected(items=later)
    items[:] = [item for item in items if item not in later]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings in the test's own process compute in float32 on every processor."""
    monkeypatch.setattr("luthier.engine.devices.cpu_has_bfloat16", lambda: False)


@pytest.fixture(scope="session")
def digits() -> list[tuple[str, bytes]]:
    """1,797 real handwritten digits, 8 x 8 grey, as (label, PNG bytes)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pictures = (data.images * (255 / 16)).astype(np.uint8)
    return [(str(label), png(picture)) for label, picture in zip(data.target, pictures, strict=True)]


@pytest.fixture(scope="session")
def digit_folder(digits: list[tuple[str, bytes]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """`digit_folder(n)` is an ImageFolder of the first n digits, one sub-folder per label."""

    def make(count: int) -> Path:
        root = tmp_path_factory.mktemp(f"digits{count}")
        for number, (label, data) in enumerate(digits[:count]):
            (root / label).mkdir(exist_ok=True)
            (root / label / f"{number:04}.png").write_bytes(data)
        return root

    return make


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgresql.Postgres]:
    with postgresql.server() as running:
        yield running


# What these tests ask of a database others ask too; one kind will do.
ON_SQLITE_ALONE = (
    *("test_estimates", "test_model_types", "test_outputs", "test_status_codes"),
    *("test_calibration_job", "test_fetch_job", "test_import_layouts", "test_real_engine", "test_training_job"),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_url" in metafunc.fixturenames:
        one = metafunc.module.__name__.endswith(ON_SQLITE_ALONE)
        metafunc.parametrize("database_url", ["sqlite"] if one else ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The setting: "" is SQLite in the data folder, else a PostgreSQL database of the test's own, with its tables."""
    if request.param == "sqlite":
        yield ""
        return
    with request.getfixturevalue("postgres").database() as url:
        yield url
