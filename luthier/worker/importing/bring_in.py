"""Data of any layout -> inputs: what the import job and `luthier import` both do. Next: `source`, `prepare`, `rows`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from luthier.data.decode_pool import DecodePool
from luthier.settings import Settings
from luthier.store import imports
from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.store.imports import Import
from luthier.worker.importing.ids import input_ids
from luthier.worker.importing.prepare import Preparer
from luthier.worker.importing.rows import write
from luthier.worker.importing.source import found_in
from luthier.worker.lease import Interrupted, Why

BATCH = 128  # items per transaction


@dataclass(frozen=True)
class Place:
    """Where inputs go, on whose behalf. `guard` raises where a write may not happen; `check` may stop it in between."""

    database: Database
    blobs: Blobs
    settings: Settings
    user: str  # id
    guard: Callable[[Connection], None] = lambda connection: None
    check: Callable[[], None] = lambda: None
    progress: Callable[[int, int], None] = lambda done, total: None  # items


def bring_in(place: Place, one: Import, data: Path) -> None:
    """Every item of `data` becomes an input or is rejected, in order; an earlier attempt is taken up where it stopped.

    The caller has begun `one` and ends it. Raises InvalidRequest or NoTrainingData where nothing can be read at all,
    Interrupted where the import was cancelled or its app deleted.
    """
    source = found_in(data, one.request)
    ids, total = input_ids(source), len(source.items)
    with place.database.write() as connection:
        _hold(place, connection, one)
        imports.found_items(connection, one.seq, total)
        done = imports.dealt_with(connection, one.seq)
    with DecodePool(place.settings.decode_memory_mb, place.settings.decode_seconds) as pool:
        preparer = Preparer(place.blobs, pool, place.settings, one.request)
        for at in range(done, total, BATCH):
            place.check()
            some = [(item, ids.get(item.number, "")) for item in source.items[at : at + BATCH]]
            results = preparer.prepared(some)
            with place.database.write() as connection:
                _hold(place, connection, one)
                write(connection, one, place.user, results)
            place.progress(at + len(some), total)


def _hold(place: Place, connection: Connection, one: Import) -> None:
    """The app waits for this write, and the import is still wanted. The app first, as calls over the wire do."""
    wanted = imports.hold(connection, one)
    place.guard(connection)
    if not wanted:
        raise Interrupted(Why.CANCELLED)
