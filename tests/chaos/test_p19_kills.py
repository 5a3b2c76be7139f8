"""P19: kill -9 of the API under four uploading clients loses no acknowledged input and leaves no orphan."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.store.tables import inputs, labels
from luthier.worker import housekeeping
from tests.chaos.apart import Apart
from tests.chaos.uploaders import Uploader, over_grpc, over_rest
from tests.e2e.client import Client, until

APP = "killed"
LATEST_KILL_SECONDS = 1.5  # after the API answers


@pytest.mark.long
def test_p19_kills_of_the_api_lose_no_acknowledged_input_and_leave_no_orphan(apart: Apart, full: bool) -> None:
    kills = 50 if full else 2
    apart.start_api()
    client = apart.new_app(APP)
    apart.start_worker()
    uploaders = _uploaded_under_fire(apart, kills)
    assert not [code for uploader in uploaders for code in uploader.refused]
    assert sum(uploader.broken for uploader in uploaders) >= kills, "the kills met uploads"

    sent = {id: sha for uploader in uploaders for id, sha in uploader.sent.items()}
    acknowledged = {id for uploader in uploaders for id in uploader.acknowledged}
    until(lambda: client.GetInputCount().counts.to_process == 0, 900)
    listed = _listed(client)
    assert acknowledged <= listed.keys() <= sent.keys()
    assert set(listed.values()) == {30000}

    apart.stop_api()
    apart.stop_worker()
    stored = _check_store(apart, sent)
    assert stored.keys() == listed.keys()
    _check_batches_are_whole(uploaders, stored.keys())
    _check_nothing_is_left_over(apart, set(stored.values()))
    print(f"{len(sent)} sent, {len(acknowledged)} acknowledged, {len(stored)} stored, {kills} kills")


def _uploaded_under_fire(apart: Apart, kills: int) -> list[Uploader]:
    """Two clients over gRPC and two over REST, while the API is killed at random moments and started again."""
    done = threading.Event()
    ways = [over_grpc, over_rest, over_grpc, over_rest]
    uploaders = [Uploader(number, way(apart, APP), done) for number, way in enumerate(ways)]
    for uploader in uploaders:
        uploader.start()
    draw = random.Random(19)
    try:
        for _ in range(kills):
            time.sleep(draw.uniform(0.05, LATEST_KILL_SECONDS))
            apart.kill_api()
            apart.start_api()
        time.sleep(0.5)
    finally:
        done.set()
    for uploader in uploaders:
        uploader.join(60)
        assert not uploader.is_alive()
    return uploaders


def _listed(client: Client) -> dict[str, int]:
    """Status by id of every input that the API lists."""
    listed: dict[str, int] = {}
    for page in range(1, 10_000):
        found = client.ListInputs(page=page, per_page=1000).inputs
        if not found:
            return listed
        listed |= {one.id: one.status.code for one in found}
    raise AssertionError("the list has no end")


def _check_store(apart: Apart, sent: dict[str, str]) -> dict[str, str]:
    """Every row has its bytes on disk, the ones that were sent, and its one label; returns the hashes by id."""
    database, blobs = Database.of(apart.settings), Blobs(apart.settings.blobs_folder)
    with database.read() as connection:
        if database.local:
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        rows = {
            row.seq: (row.id, row.blob) for row in connection.execute(select(inputs.c.seq, inputs.c.id, inputs.c.blob))
        }
        labelled: Counter[int] = Counter(
            dict(connection.execute(select(labels.c.input, func.count()).group_by(labels.c.input)).all())
        )
    assert labelled == dict.fromkeys(rows, 1)
    for id, blob in rows.values():
        assert blob == sent[id]
        blobs.read(blob)  # which checks the bytes against their name
    blobs.close()
    database.close()
    return dict(rows.values())


def _check_batches_are_whole(uploaders: list[Uploader], stored: Collection[str]) -> None:
    """One call, one transaction: nothing of a batch or all of it."""
    for uploader in uploaders:
        for batch in uploader.batches:
            assert sum(id in stored for id in batch) in (0, len(batch))


def _check_nothing_is_left_over(apart: Apart, wanted: set[str]) -> None:
    """The next garbage collection removes what no row names, and nothing else."""
    long_ago = time.time() - 2 * housekeeping.GRACE_SECONDS
    for path in _files(apart.settings.blobs_folder):
        os.utime(path, (long_ago, long_ago))
    database, blobs = Database.of(apart.settings), Blobs(apart.settings.blobs_folder)
    removed, _ = housekeeping.tidy(apart.settings, database, blobs)
    blobs.close()
    database.close()
    print(f"{removed} blobs without a row removed")
    assert {path.name for path in _files(apart.settings.blobs_folder)} == wanted


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*") if path.is_file()]
