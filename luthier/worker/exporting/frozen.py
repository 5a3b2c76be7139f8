"""A dataset version as an export reads it: the frozen examples, and what their inputs' rows know beside.

Labels, regions and splits are those of the version. Metadata, places and names of concepts are not part of a version:
they are read when it is exported. An input that was deleted since has neither; its bytes are kept by the version.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from luthier.runs.manifest import Example, read_manifest
from luthier.settings import Settings
from luthier.store import concepts, inputs
from luthier.store.snapshots import DatasetVersion
from luthier.worker.work import Work

BATCH = 128


@dataclass(frozen=True)
class Known:
    """What the row of an example's input knows; a `kind` is made out from the example where the row is gone."""

    kind: str
    format: str = ""
    message: bytes = b""


class Frozen:
    """Inputs that could not be read hold nothing to export; they are counted."""

    def __init__(self, work: Work, version: DatasetVersion) -> None:
        self._work, self._version = work, version
        self._names: dict[str, str] = {}
        self._invalid = 0

    @property
    def settings(self) -> Settings:
        return self._work.settings

    def examples(self) -> Iterator[Example]:
        """In the version's order. Asks the lease now and then; each walk begins from the start."""
        self._invalid = 0
        for number, example in enumerate(read_manifest(self._work.blobs.path(self._version.manifest))):
            if number % BATCH == 0:
                self._work.lease.progress = max(self._work.lease.progress, number)
                self._work.lease.check()
            if example.invalid:
                self._invalid += 1
            else:
                yield example

    def left_out(self) -> str:
        """For people: what the last walk has left out."""
        return f"{self._invalid} inputs that could not be read are left out" if self._invalid else ""

    def path(self, example: Example) -> Path:
        return self._work.blobs.path(example.blob)

    def known(self, examples: list[Example]) -> list[Known]:
        with self._work.database.read() as connection:
            rows = inputs.find_many(connection, self._version.app, [example.id for example in examples])
        return [_known(example, rows.get(example.id)) for example in examples]

    def names(self, examples: list[Example]) -> dict[str, str]:
        """Of the concepts that these name: what each is called now, its id where it is gone."""
        wanted = {id for example in examples for id in (*example.labels, *(r.concept for r in example.regions))}
        missing = wanted - self._names.keys()
        if missing:
            with self._work.database.read() as connection:
                self._names |= concepts.names(connection, self._version.app, missing)
            self._names |= {id: id for id in missing if id not in self._names}
        return self._names


def _known(example: Example, row: inputs.InputRow | None) -> Known:
    if row is None or row.blob != example.blob:  # deleted, or another input of the same id
        return Known("image" if example.width else "text")
    return Known(row.kind, row.format, row.message)
