"""The job that makes vectors of an app's pictures: all of them, bad ones once, and what happens without predictors."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from luthier.errors import ModelLoading, PredictionFailed
from luthier.store import jobs, vectors
from luthier.store.jobs import State
from luthier.store.tables import model_versions
from luthier.worker import loop, vectors_job
from luthier.worker.loop import Worker
from tests.worker.world import World


class Embedder:
    """Stands in for the predictors: the vector of a file is its length and its first byte."""

    asked: list[int]
    wrong: Exception | None = None

    def __init__(self, socket: Path) -> None:
        """As PredictorsClient."""

    def predict(
        self, run_folder: Path, checkpoint: str, kind: str, parts: Sequence[bytes], wait_seconds: float
    ) -> list[dict[str, Any]]:
        self.asked.append(len(parts))
        if self.wrong:
            raise self.wrong
        return [self._answer(part, len(parts)) for part in parts]

    def _answer(self, part: bytes, together: int) -> Mapping[str, Any]:
        if part == b"damaged":
            return {"error": 47104, "details": "file ends early"}
        if part == b"large" and together > 1:
            return {"error": PredictionFailed.code, "details": "out of memory"}
        return {"embedding": [float(len(part)), float(part[0])]}

    def close(self) -> None:
        """Holds nothing."""


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> type[Embedder]:
    Embedder.asked, Embedder.wrong = [], None
    monkeypatch.setattr(loop, "PredictorsClient", Embedder)
    monkeypatch.setattr(vectors_job, "BATCH", 4)
    return Embedder


def asked(world: World) -> int:
    """The seq of a version whose vectors are asked for."""
    version = world.train(concepts=["cat"])
    with world.database.write() as connection:
        changed = {"status": 21100, "run_folder": "run", "checkpoint": "checkpoints/best"}
        connection.execute(update(model_versions).where(model_versions.c.seq == version).values(**changed))
        connection.execute(jobs.jobs.delete())
        jobs.enqueue(connection, "vectors", "data", "ada", {}, version)
    return version


def ended(world: World, version: int) -> State:
    def state() -> State | None:
        with world.database.read() as connection:
            found = vectors.job_state(connection, version)
        return None if found in (State.QUEUED, State.RUNNING) else found

    found: State = world.until(state, 30)
    return found


def test_every_picture_gets_its_vector(
    world: World, embedder: type[Embedder], start_worker: Callable[..., Worker]
) -> None:
    files = [bytes([n]) * n for n in range(1, 11)]
    seqs = world.add_inputs([("", data) for data in files])
    version = asked(world)
    start_worker()
    assert ended(world, version) is State.DONE
    assert embedder.asked == [4, 4, 2]
    with world.database.read() as connection:
        rows = {row.input: np.frombuffer(row.vector, "<f4").tolist() for row in vectors.after(connection, version, 0)}
        assert vectors.count_missing(connection, version, world.app) == 0
    assert rows == {seq: [float(len(data)), float(data[0])] for seq, data in zip(seqs, files, strict=True)}


def test_pictures_that_cannot_be_embedded_are_not_asked_again(
    world: World, embedder: type[Embedder], start_worker: Callable[..., Worker]
) -> None:
    good, _, _, large = world.add_inputs([("", data) for data in (b"good", b"damaged", b"gone", b"large")])
    world.blobs.delete(world.blobs.put(b"gone"))
    version = asked(world)
    start_worker()
    assert ended(world, version) is State.DONE
    with world.database.read() as connection:
        assert [row.input for row in vectors.after(connection, version, 0)] == [good, large]
        assert vectors.count_missing(connection, version, world.app) == 0
    assert embedder.asked == [3, 1], "what the memory did not hold was asked alone"


def test_without_predictors_the_job_fails_after_three_attempts(
    world: World, embedder: type[Embedder], start_worker: Callable[..., Worker]
) -> None:
    world.add_inputs([("", b"a")])
    embedder.wrong = ModelLoading("the predictors process does not answer")
    version = asked(world)
    start_worker()
    assert ended(world, version) is State.FAILED
    assert len(embedder.asked) == 3


def test_a_version_that_was_deleted_ends_the_job(
    world: World, embedder: type[Embedder], start_worker: Callable[..., Worker]
) -> None:
    world.add_inputs([("", b"a")])
    version = asked(world)
    with world.database.write() as connection:
        connection.execute(model_versions.delete().where(model_versions.c.seq == version))
    start_worker()
    assert ended(world, version) is State.CANCELLED
    assert embedder.asked == []
