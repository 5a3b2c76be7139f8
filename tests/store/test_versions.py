"""The state machine of a model version, its log and what is measured."""

import pytest

from luthier.store import calibrations, devices, logs, versions
from luthier.store.calibrations import Calibration
from luthier.store.versions import Status
from tests.worker.world import World


@pytest.fixture
def seq(world: World) -> int:
    with world.database.write() as connection:
        return versions.create(connection, world.model, "v1", b"m", status=Status.QUEUED, request={"seed": 1})


def test_a_version_knows_where_it_belongs(world: World, seq: int) -> None:
    version = world.version(seq)
    assert (version.model_id, version.model_type, version.app_id, version.user_id) == (
        "clf",
        "visual-classifier",
        "shop",
        "ada",
    )
    assert version.request == {"seed": 1} and version.results == {} and version.message == b"m"


def test_from_queue_to_trained(world: World, seq: int) -> None:
    with world.database.write() as connection:
        assert versions.to_training(connection, seq, run_folder="v1", details="starting")
        assert versions.progress(connection, seq, 40, 12, "epoch 1 of 2")
        assert versions.to_trained(connection, seq, "checkpoints/best", {"metrics": {"accuracy": 0.9}}, 10)
    version = world.version(seq)
    assert (version.status, version.percent, version.seconds_left) == (Status.TRAINED, 100, 0)
    assert version.results["metrics"] == {"accuracy": 0.9} and version.completed_at


def test_p5_there_is_one_terminal_state(world: World, seq: int) -> None:
    with world.database.write() as connection:
        versions.to_training(connection, seq, run_folder="v1", details="")
        assert versions.to_failed(connection, seq, "cancelled by ada", {})
        assert not versions.to_trained(connection, seq, "checkpoints/best", {"metrics": {}}, 10)
        assert not versions.to_failed(connection, seq, "another reason", {})
        assert not versions.progress(connection, seq, 50, 1, "late")
        assert not versions.to_training(connection, seq, run_folder="v1", details="")
    assert world.version(seq).details == "cancelled by ada"


def test_an_untrained_version_is_not_trained_by_accident(world: World) -> None:
    with world.database.write() as connection:
        seq = versions.create(connection, world.model, "v0", b"")
        assert not versions.to_training(connection, seq, run_folder="", details="")
        assert not versions.to_trained(connection, seq, "", {}, 0)
    assert world.version(seq).status == Status.UNTRAINED


def test_a_drained_training_waits_again(world: World, seq: int) -> None:
    with world.database.write() as connection:
        assert not versions.back_to_queue(connection, seq, "")
        versions.to_training(connection, seq, run_folder="v1", details="")
        assert versions.back_to_queue(connection, seq, "goes on when a worker is free")
    assert world.version(seq).status == Status.QUEUED


def test_a_deleted_version_takes_its_log_with_it_and_obeys_nothing(world: World, seq: int) -> None:
    with world.database.write() as connection:
        logs.append(connection, seq, "line\n")
        assert versions.delete(connection, seq)
        assert not versions.delete(connection, seq)
        assert not versions.progress(connection, seq, 1, 1, "")
        assert versions.by_seq(connection, seq) is None
        assert list(logs.read(connection, seq)) == []


def test_pages_are_newest_first(world: World) -> None:
    with world.database.write() as connection:
        for number in range(5):
            versions.create(connection, world.model, f"p{number}", b"")
        assert [v.id for v in versions.page(connection, world.model, 1, 3)] == ["p3", "p2", "p1"]
        newest = versions.newest(connection, world.model)
        assert newest is not None and newest.id == "p4" and versions.count(connection, world.model) == 5
        assert versions.find(connection, world.model, "p2") == versions.by_id(connection, "p2")
        assert versions.find(connection, world.model + 1, "p2") is None


def test_p10_no_result_that_is_not_a_number_is_published(world: World, seq: int) -> None:
    with pytest.raises(ValueError, match="JSON"), world.database.write() as connection:
        versions.to_training(connection, seq, run_folder="v1", details="")
        versions.to_trained(connection, seq, "c", {"metrics": {"accuracy": float("nan")}}, 1)
    assert world.version(seq).status == Status.QUEUED


def test_a_long_log_comes_back_whole_and_in_order(world: World, seq: int) -> None:
    lines = [f"line {number} é\n" for number in range(20_000)]
    with world.database.write() as connection:
        logs.append(connection, seq, "".join(lines[:15_000]))
        for line in lines[15_000:15_100]:
            logs.append(connection, seq, line)
        logs.append(connection, seq, "".join(lines[15_100:]))
        logs.append(connection, seq, "")
    with world.database.read() as connection:
        pieces = list(logs.read(connection, seq))
        assert "".join(pieces) == "".join(lines)
        assert max(len(piece) for piece in pieces) <= logs.LARGEST_CHUNK
        assert logs.length(connection, seq) == len("".join(lines))


def test_bad_E3_a_log_may_hold_any_character(world: World, seq: int) -> None:
    with world.database.write() as connection:
        logs.append(connection, seq, "a\0b\x1b[31m\n")
        assert "".join(logs.read(connection, seq)) == "a\u2400b\x1b[31m\n"


def test_the_newest_measurement_replaces_the_older(world: World) -> None:
    costs = {
        "seconds_per_validation_item": 0.01,
        "start_seconds": 1.0,
        "checkpoint_seconds": 0.1,
        "gflops_per_item": 1.0,
    }
    where = {"template": "t", "model_type": "visual-classifier", "image_size": 32, "batch_size": 16}
    with world.database.write() as connection:
        for seconds in (0.5, 0.25):
            calibrations.record(connection, Calibration(**where, device="cpu/2", seconds_per_step=seconds, **costs))  # type: ignore[arg-type]
        found = calibrations.find(connection, "t", "visual-classifier", 32, 16, "cpu/2")
        assert found is not None and found.seconds_per_step == 0.25
        assert calibrations.all_for(connection, "cpu/2") == [found]
        assert calibrations.all_for(connection, "cpu/4") == []
        assert calibrations.find(connection, "t", "visual-classifier", 32, 8, "cpu/2") is None


def test_the_device_is_that_of_the_worker_that_spoke_last(world: World) -> None:
    with world.database.write() as connection:
        assert devices.current_device(connection) is None
        devices.seen(connection, "w1", "cpu/2", "cpu")
        devices.seen(connection, "w2", "NVIDIA H100", "cuda")
        assert calibrations.current_device(connection) == ("NVIDIA H100", "cuda")
        devices.seen(connection, "w1", "cpu/4", "cpu")
        assert devices.current_device(connection) == ("cpu/4", "cpu")
