"""Inputs are checked, dataset versions are frozen, and later edits change nothing that was frozen."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from luthier.runs.manifest import Example, example_from_line
from luthier.store import collection, jobs
from luthier.store.tables import dataset_inputs, inputs
from luthier.store.tables import jobs as jobs_table
from luthier.store.versions import Status
from luthier.worker import housekeeping, snapshot_job
from luthier.worker.loop import Worker
from tests.worker.world import World

Start = Callable[..., Worker]


def enqueue_ingest(world: World, seqs: list[int]) -> None:
    with world.database.write() as connection:
        jobs.enqueue(connection, "ingest", "data", "ada", {"inputs": seqs})


def statuses(world: World) -> dict[int, tuple[int, str, int, int]]:
    with world.database.read() as connection:
        columns = (inputs.c.seq, inputs.c.status, inputs.c.details, inputs.c.width, inputs.c.height)
        return {row[0]: tuple(row[1:]) for row in connection.execute(select(*columns))}  # type: ignore[misc]


def checked(world: World) -> bool:
    return all(row[0] != 30001 for row in statuses(world).values())


def frozen(world: World, seq: int) -> list[Example]:
    row = world.until(lambda: (r := world.dataset_version(seq))["status"] in (64015, 64020) and r)
    assert row["status"] == 64015, row["details"]
    return [example_from_line(line) for line in world.blobs.read(row["manifest"]).decode().splitlines()]


# -- ingest ------------------------------------------------------------------------------------------------------------


def test_bad_D1_D2_inputs_are_good_or_say_what_is_wrong(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    good = digits[0][1]
    contents = [good, good[:60], b"<html>", b"", digits[1][1]]
    seqs = world.add_inputs([("a", data) for data in contents], status=30001)
    enqueue_ingest(world, seqs)
    start_worker()
    world.until(lambda: checked(world))
    found = statuses(world)
    assert [found[seq][0] for seq in seqs] == [30000, 47104, 30101, 30300, 30000]
    assert found[seqs[0]] == (30000, "", 8, 8)
    for seq in seqs[1:4]:
        _, details, width, height = found[seq]
        assert details
        assert (width, height) == (8, 8)  # what the header said stays


def test_an_input_that_was_deleted_meanwhile_is_passed_over(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    seqs = world.add_inputs(digits[:3], status=30001)
    with world.database.write() as connection:
        connection.execute(delete(inputs).where(inputs.c.seq == seqs[1]))
    enqueue_ingest(world, seqs)
    start_worker()
    world.until(lambda: checked(world))
    assert set(statuses(world)) == {seqs[0], seqs[2]}


def test_a_picture_that_rotted_on_disk_is_found_out(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    (seq,) = world.add_inputs(digits[:1], status=30001)
    with world.database.read() as connection:
        blob = connection.execute(select(inputs.c.blob)).scalar_one()
    world.blobs.path(blob).write_bytes(digits[5][1])
    enqueue_ingest(world, [seq])
    start_worker()
    world.until(lambda: checked(world))
    assert statuses(world)[seq][0] == 30300


def test_small_pictures_are_checked_fast(world: World, digits: list[tuple[str, bytes]], start_worker: Start) -> None:
    """500 a second is aimed at on a quiet machine."""
    seqs = world.add_inputs(digits[:640], status=30001)
    start_worker()
    enqueue_ingest(world, seqs[:1])  # the helper has started
    world.until(lambda: statuses(world)[seqs[0]][0] == 30000)
    began = time.monotonic()
    for at in range(0, len(seqs), 128):
        enqueue_ingest(world, seqs[at : at + 128])
    world.until(lambda: checked(world))
    assert len(seqs) / (time.monotonic() - began) > 150


# -- snapshot ----------------------------------------------------------------------------------------------------------


def test_a_version_holds_inputs_labels_splits_and_counts(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    seqs = world.add_inputs(digits[:100])
    world.add_label(seqs[0], "dirty", 0)
    world.add_label(seqs[1], "pending", 1, status=24151)
    world.add_inputs([("", digits[100][1])])
    world.add_inputs([("0", b"broken")], status=47104, details="file ends early")
    world.add_inputs([digits[101]], split="test")
    start_worker()
    seq = world.snapshot()
    examples = frozen(world, seq)
    counts = world.dataset_version(seq)["counts"]
    assert len(examples) == counts["inputs"] == 103
    assert (counts["unlabeled_inputs"], counts["positive_tags"], counts["invalid"]) == (1, 102, 1)
    assert counts["per_concept"]["dirty"] == {"positive": 0, "negative": 1}
    assert "pending" not in counts["per_concept"]
    assert sum(counts["splits"].values()) == 102 and counts["splits"]["train"] in range(76, 88)
    assert examples[0].labels == {digits[0][0]: 1, "dirty": 0}
    assert [example.invalid for example in examples if example.invalid] == ["47104 file ends early"]
    assert examples[-1].split == "test" and examples[-1].width == 8


def test_p15_the_same_inputs_are_split_the_same_way(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    world.add_inputs(digits[:80])
    start_worker()
    first, second, other = (
        {e.blob: e.split for e in frozen(world, world.snapshot(split=split))}
        for split in ({}, {"train": 0.8, "val": 0.1, "test": 0.1, "seed": 0}, {"train": 0.5, "val": 0.25, "test": 0.25})
    )
    assert first == second != other
    assert sum(split == "train" for split in other.values()) in range(35, 46)


def test_bad_F11_one_picture_under_two_ids_is_in_one_split(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    world.add_inputs(digits[:40])
    world.add_inputs(digits[:40])
    start_worker()
    splits: dict[str, set[str]] = {}
    for example in frozen(world, world.snapshot()):
        splits.setdefault(example.blob, set()).add(example.split)
    assert len(splits) == 40 and all(len(names) == 1 for names in splits.values())


def test_p16_later_edits_do_not_reach_a_frozen_version(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    seqs = world.add_inputs(digits[:30])
    start_worker()
    seq = world.snapshot()
    before, manifest = frozen(world, seq), world.dataset_version(seq)["manifest"]
    world.add_label(seqs[0], "new")
    with world.database.write() as connection:
        connection.execute(delete(inputs).where(inputs.c.seq.in_(seqs[1:20])))
        connection.execute(update(inputs).values(split="val"))
    assert frozen(world, seq) == before and world.dataset_version(seq)["manifest"] == manifest
    assert len(frozen(world, world.snapshot())) == 11
    housekeeping.tidy(world.settings, world.database, world.blobs, grace_seconds=-10)
    assert all(world.blobs.exists(example.blob) for example in before)


def test_of_two_annotations_the_later_counts(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    (seq,) = world.add_inputs([("a", digits[0][1])])
    world.add_label(seq, "a", 0)
    start_worker()
    assert frozen(world, world.snapshot())[0].labels == {"a": 0}


def test_inputs_that_are_still_being_checked_are_waited_for(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    seqs = world.add_inputs(digits[:20], status=30001)
    start_worker()
    seq = world.snapshot()
    time.sleep(0.7)
    assert world.dataset_version(seq)["status"] == 64010
    enqueue_ingest(world, seqs)
    assert not any(example.invalid for example in frozen(world, seq))


def test_inputs_that_are_never_checked_are_told_and_do_not_hold_it_up_for_ever(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_job, "WAIT_SECONDS", 0.5)
    world.add_inputs(digits[:2], status=30001)
    start_worker()
    assert {e.invalid for e in frozen(world, world.snapshot())} == {"30001 not checked yet when the version was made"}


def test_an_empty_dataset_makes_an_empty_version(world: World, start_worker: Start) -> None:
    start_worker()
    seq = world.snapshot()
    assert frozen(world, seq) == []
    assert world.dataset_version(seq)["counts"]["inputs"] == 0


def test_a_version_deleted_while_it_waits_ends_its_job(world: World, start_worker: Start) -> None:
    from luthier.store.tables import dataset_versions

    seq = world.snapshot()
    with world.database.write() as connection:
        connection.execute(delete(dataset_versions).where(dataset_versions.c.seq == seq))
    start_worker()
    world.until(lambda: _job_states(world) == ["cancelled"])


def test_what_cannot_be_frozen_fails_with_its_reason(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any) -> Iterator[Any]:
        raise OSError("disk on fire")

    world.add_inputs(digits[:3])
    monkeypatch.setattr(snapshot_job, "assign_splits", broken)
    start_worker()
    seq = world.snapshot()
    row = world.until(lambda: (r := world.dataset_version(seq))["status"] == 64020 and r)
    assert row["details"].count("disk on fire") == 3


def test_without_a_dataset_the_inputs_that_carry_the_concepts_are_taken(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    world.add_inputs([("a", digits[0][1]), ("b", digits[1][1]), ("c", digits[2][1])], dataset=False)
    start_worker([["finish"]])
    version = world.train(concepts=["a", "b"])
    world.ended(version)
    seq = world.version(version).dataset_version
    assert seq is not None
    assert [sorted(example.labels) for example in frozen(world, seq)] == [["a"], ["b"]]


# -- housekeeping ------------------------------------------------------------------------------------------------------


def test_a_run_folder_goes_when_its_version_is_gone(world: World, start_worker: Start) -> None:
    from luthier.store import versions

    with world.database.write() as connection:
        versions.create(connection, world.model, "kept", b"", status=Status.QUEUED)
    for name in ("kept", "orphan", ".calibrations"):
        (world.settings.runs_folder / name).mkdir(parents=True)
    assert housekeeping.remove_runs(world.settings, world.database) == 0
    assert housekeeping.remove_runs(world.settings, world.database, grace_seconds=-10) == 1
    assert sorted(path.name for path in world.settings.runs_folder.iterdir()) == [".calibrations", "kept"]


def test_working_folders_of_killed_workers_go(world: World) -> None:
    left = [world.settings.data_dir / "freeze-x", world.settings.runs_folder / ".calibrations" / "job-1-x"]
    for folder in left:
        folder.mkdir(parents=True)
    housekeeping.tidy(world.settings, world.database, world.blobs)
    assert all(folder.exists() for folder in left)
    housekeeping.tidy(world.settings, world.database, world.blobs, grace_seconds=-10)
    assert not any(folder.exists() for folder in left)


def test_tokens_go_with_the_texts_that_they_were_made_of(world: World) -> None:
    here, gone = world.blobs.put(b"a text"), "0" * 64
    world.settings.tokens_folder.mkdir()
    files = {sha: world.settings.tokens_folder / f"{sha}.tokens" for sha in (here, gone)}
    for sha, file in files.items():
        file.write_bytes(bytes(32) + b'{"texts": 1, "fields": {}}\n' + bytes.fromhex(sha))
    housekeeping.tidy(world.settings, world.database, world.blobs)
    assert [file.exists() for file in files.values()] == [True, False]
    housekeeping.tidy(replace(world.settings, token_cache_mb=0), world.database, world.blobs)
    assert not files[here].exists()


def test_tokens_and_vectors_are_read_again_only_where_something_may_have_gone(world: World) -> None:
    gone, lock = bytes(32), world.blobs.root / collection.LOCK
    tokens, vectors = world.settings.tokens_folder / "x.tokens", world.settings.vectors_folder / "x-1.vectors"
    for file, data in ((tokens, bytes(32) + b'{"texts": 1, "fields": {}}\n' + gone), (vectors, gone + bytes(8))):
        file.parent.mkdir()
        file.write_bytes(data)
        os.utime(file, (1000, 1000))
    lock.touch()
    os.utime(lock, (1000, 1000))
    housekeeping.tidy(world.settings, world.database, world.blobs, since=5000)
    assert tokens.exists() and vectors.stat().st_size == 40
    world.blobs.put(b"nobody names it")
    housekeeping.tidy(world.settings, world.database, world.blobs, grace_seconds=-10, since=5000)
    assert not tokens.exists() and vectors.stat().st_size == 0


def test_a_worker_knows_when_it_tidied_up_before(
    world: World, start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def tidy(*_: object, since: float) -> tuple[int, int]:
        asked.append(since)
        if len(asked) == 2:
            raise OSError("a disk that is gone for a moment")
        return 0, 0

    began = time.time()
    monkeypatch.setattr("luthier.worker.loop.TIDY_SECONDS", 0.05)
    monkeypatch.setattr(housekeeping, "tidy", tidy)
    start_worker()
    world.until(lambda: len(asked) > 3, 10)
    assert asked[0] == 0.0 and began <= asked[1] == asked[2] < asked[3]  # what failed does not count


def test_blobs_go_although_a_training_was_deleted_while_it_froze_its_data(world: World) -> None:
    from luthier.store import snapshots, versions

    sha = world.blobs.put(b"nobody names it")
    frozen = world.add_dataset_version(origin=2, dataset=False)
    training = world.train(dataset_version=frozen, concepts=["a"])
    with world.database.write() as connection:
        snapshots.begin(connection, frozen)
    housekeeping.tidy(world.settings, world.database, world.blobs, grace_seconds=-10)
    assert world.blobs.exists(sha)
    with world.database.write() as connection:
        versions.delete(connection, training)
    housekeeping.tidy(world.settings, world.database, world.blobs, grace_seconds=-10)
    assert not world.blobs.exists(sha)


def test_a_working_folder_whose_files_grow_stays(world: World) -> None:
    file = world.settings.data_dir / "export-x" / "rows" / "rows.jsonl"
    file.parent.mkdir(parents=True)
    file.touch()
    long_ago = time.time() - 2 * housekeeping.GRACE_SECONDS
    for folder in (file.parent, file.parent.parent):
        os.utime(folder, (long_ago, long_ago))
    housekeeping.tidy(world.settings, world.database, world.blobs)
    assert file.exists()
    os.utime(file, (long_ago, long_ago))
    housekeeping.tidy(world.settings, world.database, world.blobs)
    assert not file.parent.parent.exists()


def test_jobs_that_ended_a_day_ago_go(world: World) -> None:
    day = housekeeping.JOBS_SECONDS
    with world.database.write() as connection:
        for seconds in [day + 60] * (jobs.AT_ONCE + 1) + [day - 60]:
            seq = jobs.enqueue(connection, "ingest", "data", "ada", {})
            values = {"state": jobs.State.DONE, "finished_at": time.time() - seconds}
            connection.execute(update(jobs_table).where(jobs_table.c.seq == seq).values(**values))
    housekeeping.tidy(world.settings, world.database, world.blobs)
    assert _job_states(world) == [jobs.State.DONE]


def test_pictures_of_a_running_training_stay_though_input_and_version_are_gone(
    world: World, digits: list[tuple[str, bytes]], start_worker: Start
) -> None:
    from luthier.store.tables import dataset_versions

    world.add_inputs([("a", data) for _, data in digits[:10]] + [("b", data) for _, data in digits[10:20]])
    start_worker([["started"], ["step", 5], ["sleep", 600]])
    version = world.train()
    world.until(lambda: world.version(version).percent == 50)
    with world.database.write() as connection:
        for table in (dataset_inputs, inputs, dataset_versions):
            connection.execute(delete(table))
    run = world.settings.runs_folder / world.version(version).id
    needed = [json.loads(line)["blob"] for line in (run / "manifest.jsonl").read_text().splitlines()]
    housekeeping.tidy(world.settings, world.database, world.blobs, grace_seconds=-10)
    assert len(needed) == 20 and all(world.blobs.exists(sha) for sha in needed)


def _job_states(world: World) -> list[str]:
    with world.database.read() as connection:
        return list(connection.execute(select(jobs_table.c.state)).scalars())
