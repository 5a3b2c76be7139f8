"""Bytes once, on disk before the call returns, whole or not there; and what removes them."""

import errno
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert

from luthier.errors import CorruptFile, DiskFull
from luthier.store import collection
from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.store.tables import apps, dataset_versions, inputs, users


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[Blobs]:
    made = Blobs(tmp_path / "blobs")
    yield made
    made.close()


def files(blobs: Blobs) -> list[str]:
    return sorted(path.name for path in blobs.root.rglob("*") if path.is_file() and path.name != ".collecting")


def age(blobs: Blobs, *shas: str) -> None:
    for sha in shas:
        os.utime(blobs.path(sha), (1.0, 1.0))


def test_bytes_come_back_under_their_hash(blobs: Blobs) -> None:
    sha = blobs.put(b"hello")
    assert sha == hashlib.sha256(b"hello").hexdigest()
    assert blobs.read(sha) == b"hello" and blobs.exists(sha)
    assert blobs.path(sha) == blobs.root / sha[:2] / sha
    blobs.delete(sha)
    assert not blobs.exists(sha)
    blobs.delete(sha)


def test_bad_D15_the_same_bytes_are_stored_once(blobs: Blobs) -> None:
    first, *rest = blobs.put_many([b"same", b"same", b"other", b"same"])
    assert rest[0] == first == rest[2]
    blobs.put(b"same")
    assert len(files(blobs)) == 2


def test_a_file_of_any_size_is_copied(blobs: Blobs, tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(os.urandom(3_000_000))
    sha = blobs.put_file(source)
    assert blobs.read(sha) == source.read_bytes()
    assert files(blobs) == [sha]


@pytest.mark.parametrize("sha", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 63 + "/"])
def test_bad_B2_only_a_hash_becomes_a_path(blobs: Blobs, sha: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        blobs.path(sha)


def test_p21_write_then_sync_then_rename_then_sync_of_the_folder(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_sync, real_rename = os.fsync, Path.rename

    def sync(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}").readlink()
        order.append("sync folder" if name.is_dir() else "sync file")
        real_sync(handle)

    def rename(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    blobs.put(b"in order")
    assert order == ["sync file", "rename", "sync folder"]
    order.clear()
    blobs.put(b"in order")  # another process may have renamed it and died before its own sync
    assert order == ["sync folder"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_p9_a_failed_sync_is_never_acknowledged(blobs: Blobs, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def broken(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(DiskFull if number == errno.ENOSPC else OSError):
        blobs.put(b"lost")
    with pytest.raises(DiskFull if number == errno.ENOSPC else OSError):
        blobs.put_many([b"lost", b"lost too"])
    assert files(blobs) == []


def test_below_the_reserve_nothing_is_taken(tmp_path: Path) -> None:
    free_mb = shutil.disk_usage(tmp_path).free // 2**20
    blobs = Blobs(tmp_path / "blobs", reserve_mb=free_mb + 10_000)
    with pytest.raises(DiskFull) as caught:
        blobs.put(b"x")
    assert "disk_reserve_mb" in caught.value.details and str(tmp_path) in caught.value.details
    assert files(blobs) == []


def test_p8_a_flipped_bit_is_detected_when_read(blobs: Blobs) -> None:
    sha = blobs.put(b"hello world")
    blobs.path(sha).write_bytes(b"hellp world")
    with pytest.raises(CorruptFile, match=sha):
        blobs.read(sha)


def test_a_file_cut_short_is_written_anew(blobs: Blobs) -> None:
    sha = blobs.put(b"hello world")
    blobs.path(sha).write_bytes(b"hello")
    assert blobs.put(b"hello world") == sha
    assert blobs.read(sha) == b"hello world"


def test_many_threads_put_the_same_bytes(blobs: Blobs) -> None:
    data = [bytes([n]) * 100 for n in range(50)]
    threads = [threading.Thread(target=blobs.put_many, args=(data,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files(blobs)) == 50 and not [name for name in files(blobs) if name.startswith(".")]


def test_small_pictures_are_stored_fast(blobs: Blobs) -> None:
    """800 a second is promised for the whole call on a quiet machine; here half of that on a busy one."""
    data = [os.urandom(250) for _ in range(512)]
    began = time.monotonic()
    for at in range(0, len(data), 128):
        blobs.put_many(data[at : at + 128])
    assert len(data) / (time.monotonic() - began) > 400


# -- collection --------------------------------------------------------------------------------------------------------


@pytest.fixture
def app(database: Database) -> int:
    with database.write() as connection:
        user = connection.execute(insert(users).values(id="ada", message=b"", created_at=1.0)).inserted_primary_key[0]  # type: ignore[index]
        row = {"user": user, "id": "shop", "message": b"", "created_at": 1.0, "modified_at": 1.0}
        return int(connection.execute(insert(apps).values(**row)).inserted_primary_key[0])  # type: ignore[index]


def add_input(database: Database, app: int, sha: str) -> None:
    times = {"created_at": 1.0, "modified_at": 1.0}
    facts: dict[str, Any] = {"kind": "image", "size": 1, "format": "PNG", "width": 1, "height": 1, "message": b""}
    with database.write() as connection:
        connection.execute(insert(inputs).values(app=app, id=sha, blob=sha, status=30000, **facts, **times))


def add_version(database: Database, app: int, manifest: str, status: int = 64015) -> None:
    row = {"app": app, "id": manifest or "v", "status": status, "origin": 1, "split": "{}", "manifest": manifest}
    with database.write() as connection:
        connection.execute(insert(dataset_versions).values(**row, message=b"", created_at=1.0, modified_at=1.0))


def test_p19_only_blobs_that_nothing_names_go(blobs: Blobs, database: Database, app: int, tmp_path: Path) -> None:
    used, orphan, young = blobs.put(b"used"), blobs.put(b"orphan"), blobs.put(b"young")
    frozen, running = blobs.put(b"frozen"), blobs.put(b"running")
    manifest = blobs.put(json.dumps({"id": "1", "blob": frozen}).encode())
    of_run = tmp_path / "manifest.jsonl"
    of_run.write_text(json.dumps({"id": "2", "blob": running}) + "\n")
    add_input(database, app, used)
    add_version(database, app, manifest)
    age(blobs, used, orphan, frozen, running, manifest)
    assert collection.collect(database, blobs, [of_run]) == 1
    assert files(blobs) == sorted([used, young, frozen, running, manifest])
    assert orphan not in files(blobs)


def test_a_deleted_inputs_picture_stays_while_a_manifest_needs_it(blobs: Blobs, database: Database, app: int) -> None:
    sha = blobs.put(b"picture")
    manifest = blobs.put(json.dumps({"id": "1", "blob": sha}).encode())
    add_input(database, app, sha)
    add_version(database, app, manifest)
    age(blobs, sha, manifest)
    with database.write() as connection:
        connection.execute(delete(inputs))
    assert collection.collect(database, blobs) == 0
    with database.write() as connection:
        connection.execute(delete(dataset_versions))
    assert collection.collect(database, blobs) == 2
    assert files(blobs) == []


def test_nothing_goes_while_a_version_is_being_frozen(blobs: Blobs, database: Database, app: int) -> None:
    sha = blobs.put(b"picture")
    age(blobs, sha)
    add_version(database, app, "", status=64010)
    assert collection.collect(database, blobs) == 0
    assert blobs.exists(sha)


def test_nothing_goes_when_a_manifest_is_lost(blobs: Blobs, database: Database, app: int) -> None:
    sha = blobs.put(b"picture")
    age(blobs, sha)
    add_version(database, app, "0" * 64)
    with pytest.raises(CorruptFile):
        collection.collect(database, blobs)
    assert blobs.exists(sha)


def test_bytes_that_are_put_again_during_a_collection_stay(
    blobs: Blobs, database: Database, app: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = blobs.put(b"again")
    age(blobs, sha)
    real = collection._remove

    def put_again_first(*given: Any) -> bool:
        blobs.put(b"again")
        return real(*given)

    monkeypatch.setattr(collection, "_remove", put_again_first)
    assert collection.collect(database, blobs) == 0
    assert blobs.read(sha) == b"again"


def test_bad_I22_temporary_files_of_dead_writers_go_after_a_minute(blobs: Blobs, database: Database) -> None:
    old, new = blobs.root / "ab" / ".tmp-1-x-0", blobs.root / "ab" / ".tmp-1-x-1"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (time.time() - 61,) * 2)
    collection.collect(database, blobs)
    assert not old.exists() and new.exists()


def test_a_collection_that_was_killed_loses_nothing(blobs: Blobs, database: Database, app: int) -> None:
    sha = blobs.put(b"kept")
    add_input(database, app, sha)
    age(blobs, sha)
    blobs.path(sha).rename(blobs.path(sha).with_name(collection.ASIDE + sha))
    collection.collect(database, blobs)
    assert blobs.read(sha) == b"kept"
