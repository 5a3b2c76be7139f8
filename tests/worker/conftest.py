import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from luthier.worker.loop import Worker
from tests.worker.world import World

ROOT = Path(__file__).parents[2]
FAKE = "tests.runs.fake_engine"


@pytest.fixture(autouse=True)
def fake_engine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    made = World(tmp_path / "data", database_url=database_url)
    yield made
    made.close()


@pytest.fixture
def labelled(world: World, digits: list[tuple[str, bytes]]) -> World:
    """With 60 digits of three kinds."""
    world.add_inputs([(f"d{label}", data) for label, data in digits if label in "123"][:60])
    return world


@pytest.fixture
def start_worker(world: World) -> Iterator[Callable[..., Worker]]:
    """`start_worker(attempts…)` starts a worker in this process whose engine plays them."""
    workers: list[Worker] = []

    def start(*attempts: list[Any], name: str = "") -> Worker:
        if attempts:
            play(world, *attempts)
        worker = Worker(world.settings, name or f"worker-{len(workers)}", FAKE, introduce=False)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.end_at_once()
        assert worker.join(10)


def play(world: World, *attempts: list[Any]) -> None:
    world.settings.runs_folder.mkdir(parents=True, exist_ok=True)
    (world.settings.runs_folder / "play.json").write_text(json.dumps(attempts))
