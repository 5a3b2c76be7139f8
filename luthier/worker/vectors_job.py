"""Makes the vectors that searches by likeness need: each picture of an app through the app's embedder.

Subject: seq of the embedder's version. The model that serves predictions is asked, so it is in memory once. Next:
`store/vectors` for the rows, `rpcs/likeness`, which waits for them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from luthier.errors import CorruptFile, PredictionFailed
from luthier.predictors.client import PredictorsClient
from luthier.store import jobs, vectors, versions
from luthier.store.jobs import Job
from luthier.store.vectors import Picture
from luthier.store.versions import Version
from luthier.worker.lease import Interrupted, Why
from luthier.worker.work import Work

BATCH = 64  # pictures
LOADING_SECONDS = 120.0  # that the model may take to be loaded


class VectorsJob:
    kind = vectors.JOB

    def __init__(self, predictors: PredictorsClient) -> None:
        self._predictors = predictors

    def run(self, work: Work) -> None:
        version = _embedder(work)
        while pictures := _missing(work, version):
            found = self._vectors(work, version, pictures)
            with work.database.write() as connection:
                jobs.require(connection, work.job)
                vectors.keep(connection, version.seq, found)
            work.lease.progress += len(found)
            work.lease.check()
        with work.database.write() as connection:
            jobs.finish(connection, work.job)

    def gave_up(self, connection: Connection, job: Job, reasons: Sequence[str]) -> None:
        """The job's own row says so to whoever waits."""

    def close(self) -> None:
        self._predictors.close()

    def _vectors(self, work: Work, version: Version, pictures: Sequence[Picture]) -> list[tuple[int, bytes]]:
        """(seq of the input, its vector or b"") each. Raises what the predictors raise for all."""
        files = {one.input: file for one in pictures if (file := _file(work, one.blob))}
        answers = self._asked(work, version, list(files.values())) if files else []
        made = dict(zip(files, answers, strict=True))
        for input, answer in made.items():
            if answer.get("error") == PredictionFailed.code:  # maybe the batch was too much for the memory
                made[input] = self._asked(work, version, [files[input]])[0]
        return [(one.input, _packed(made.get(one.input, {}))) for one in pictures]

    def _asked(self, work: Work, version: Version, files: Sequence[bytes]) -> list[dict[str, Any]]:
        folder = work.settings.runs_folder / version.run_folder
        return self._predictors.predict(folder, version.checkpoint, "image", files, LOADING_SECONDS)


def _file(work: Work, blob: str) -> bytes:
    """b"" where it is gone or damaged."""
    try:
        return work.blobs.read(blob)
    except (FileNotFoundError, CorruptFile):
        return b""


def _packed(answer: dict[str, Any]) -> bytes:
    return np.asarray(answer.get("embedding", ()), "<f4").tobytes()


def _embedder(work: Work) -> Version:
    with work.database.read() as connection:
        version = versions.by_seq(connection, work.job.subject or 0)
    if version is None:  # deleted meanwhile
        raise Interrupted(Why.CANCELLED)
    return version


def _missing(work: Work, version: Version) -> list[Picture]:
    with work.database.read() as connection:
        return vectors.missing(connection, version.seq, version.app, BATCH)
