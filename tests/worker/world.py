"""A data folder with a user, an app, labelled pictures, a dataset and a model, as the API would have left them."""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from luthier.settings import Settings
from luthier.store import fetches, jobs, urls, versions
from luthier.store.blobs import Blobs
from luthier.store.database import Database, now
from luthier.store.migrations import migrate
from luthier.store.tables import (
    annotations,
    apps,
    concepts,
    dataset_inputs,
    dataset_versions,
    datasets,
    inputs,
    labels,
    models,
    users,
)
from luthier.store.versions import Version
from tests import sqlite

TIMES = {"created_at": 1.0, "modified_at": 1.0}


class World:
    def __init__(self, folder: Path, **settings: Any) -> None:
        given = {
            "offline": True,
            "heartbeat_seconds": 0.2,
            "lease_seconds": 3.0,
            "warm_start": False,
            "disk_reserve_mb": 0,
            "training_threads": 1,
        }
        self.settings = Settings(data_dir=folder, **{**given, **settings})
        if not self.settings.database_url:
            sqlite.make(self.settings.database_file)
        self.database = Database.of(self.settings)
        migrate(self.database)
        self.blobs = Blobs(self.settings.blobs_folder)
        self.concepts: dict[str, int] = {}
        with self.database.write() as connection:
            self.user = self._add(connection, users, id="ada", message=b"", created_at=1.0)
            self.app = self._add(connection, apps, user=self.user, id="shop", message=b"", **TIMES)
            self.model = self._add(
                connection, models, app=self.app, id="clf", model_type="visual-classifier", message=b"", **TIMES
            )
            self.dataset = self._add(connection, datasets, app=self.app, id="all", message=b"", **TIMES)

    def close(self) -> None:
        self.blobs.close()
        self.database.close()

    def add_inputs(
        self,
        pictures: Sequence[tuple[str, bytes]],
        *,
        status: int = 30000,
        details: str = "",
        dataset: bool = True,
        split: str = "",
    ) -> list[int]:
        """(concept id, bytes) each; returns the inputs' seqs."""
        shas = self.blobs.put_many([data for _, data in pictures])
        seqs = []
        with self.database.write() as connection:
            for (label, data), sha in zip(pictures, shas, strict=True):
                facts = {"blob": sha, "size": len(data), "format": "PNG", "width": 8, "height": 8}
                state = {"status": status, "details": details, "split": split, "message": b""}
                seq = self._add(
                    connection, inputs, app=self.app, id=uuid.uuid4().hex, kind="image", **facts, **state, **TIMES
                )
                if label:
                    self._label(connection, seq, label)
                if dataset:
                    connection.execute(insert(dataset_inputs).values(dataset=self.dataset, input=seq, created_at=1.0))
                seqs.append(seq)
        return seqs

    def add_urls(self, given: Sequence[str], kind: str = "image", user: str = "ada") -> list[int]:
        """Inputs of these URLs with the job that fetches them, as PostInputs leaves them; returns their seqs."""
        state = {"blob": "", "size": 0, "format": "", "width": 0, "height": 0, "split": "", "message": b""}
        with self.database.write() as connection:
            seqs = [
                self._add(
                    connection,
                    inputs,
                    app=self.app,
                    id=uuid.uuid4().hex,
                    kind=kind,
                    status=30001,
                    details="",
                    **state,
                    **TIMES,
                )
                for _ in given
            ]
            fetches.add(connection, self.app, list(zip(seqs, map(urls.parse, given), strict=True)))
            jobs.enqueue(connection, "fetch", "data", user, {"rows": seqs})
        return seqs

    def add_label(self, input: int, concept: str, value: int = 1, status: int = 24150) -> None:
        with self.database.write() as connection:
            self._label(connection, input, concept, value, status)

    def _label(self, connection: Any, input: int, concept: str, value: int = 1, status: int = 24150) -> None:
        if concept not in self.concepts:
            self.concepts[concept] = self._add(
                connection, concepts, app=self.app, id=concept, name=concept, message=b"", **TIMES
            )
        note = {"user": "ada", "status": status, "own": True, "message": b""}
        annotation = self._add(connection, annotations, app=self.app, input=input, id=uuid.uuid4().hex, **note, **TIMES)
        row = {"annotation": annotation, "concept": self.concepts[concept], "input": input, "value": value}
        row["counting"] = status == 24150
        connection.execute(insert(labels).values(**row))

    def add_dataset_version(
        self,
        *,
        origin: int = 1,
        dataset: bool = True,
        split: dict[str, float] | None = None,
        annotation_filter: dict[str, Any] | None = None,
    ) -> int:
        with self.database.write() as connection:
            return self._add(
                connection,
                dataset_versions,
                app=self.app,
                dataset=self.dataset if dataset else None,
                id=uuid.uuid4().hex,
                status=64005,
                origin=origin,
                split=json.dumps(split or {}),
                annotation_filter=json.dumps(annotation_filter) if annotation_filter else None,
                message=b"",
                **TIMES,
            )

    def dataset_version(self, seq: int) -> dict[str, Any]:
        with self.database.read() as connection:
            row = connection.execute(select(dataset_versions).where(dataset_versions.c.seq == seq)).mappings().one()
            return {**row, "counts": json.loads(row["counts"])}

    def snapshot(self, **given: Any) -> int:
        seq = self.add_dataset_version(**given)
        with self.database.write() as connection:
            jobs.enqueue(connection, "snapshot", "data", "ada", {}, subject=seq)
        return seq

    def train(self, *, dataset_version: int | None = None, concepts: Sequence[str] = (), **request: Any) -> int:
        """A queued training of luthier_tiny_resnet; returns the version's seq."""
        seq = dataset_version or self.add_dataset_version(origin=2, dataset=False)
        asked = {
            "template": "luthier_tiny_resnet",
            "given": {},
            "hyperparameters": {"num_epochs": 2, "image_size": 32, "batch_size": 16},
            "concepts": [{"id": id, "name": id} for id in concepts or sorted(self.concepts)],
            "invalid_data_tolerance_percent": 5.0,
            "resume_from": None,
            "estimated_seconds": 10.0,
            "seed": 0,
            **request,
        }
        with self.database.write() as connection:
            made = {"status": 21103, "template": asked["template"], "request": asked, "dataset_version": seq}
            version = versions.create(connection, self.model, uuid.uuid4().hex, b"", **made)
            jobs.enqueue(connection, "training", "training", "ada", {"version": version}, subject=version)
        return version

    def version(self, seq: int) -> Version:
        with self.database.read() as connection:
            found = versions.by_seq(connection, seq)
        assert found is not None
        return found

    def until(self, good: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Waits until `good()` is true and returns what it gave."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := good():
                return found
            time.sleep(0.05)
        raise AssertionError(f"not so within {seconds} s")

    def ended(self, seq: int, seconds: float = 60.0) -> Version:
        return self.until(lambda: (v := self.version(seq)).status in (21100, 21106) and v, seconds)  # type: ignore[no-any-return]

    def _add(self, connection: Any, table: Any, **values: Any) -> int:
        return int(connection.execute(insert(table).values(**values)).inserted_primary_key[0])


__all__ = ["World", "now"]
