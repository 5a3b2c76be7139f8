"""Fixtures of the predictors' tests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.predictors.processes import Predictors


@pytest.fixture
def predictors(tmp_path: Path) -> Iterator[Predictors]:
    server = Predictors(tmp_path / "data")
    yield server
    server.end()


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, **behaviour: object) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "behaviour.json").write_text(json.dumps(behaviour))
        return folder

    return make
