"""Dataset versions that were made for trainings: what becomes of them when no training needs them any more."""

import pytest
from sqlalchemy import update

from luthier.store import snapshots, versions
from luthier.store.snapshots import Status
from luthier.store.tables import dataset_versions
from tests.worker.world import World


def made(world: World, status: Status, *, dataset: bool = True, origin: int = 2) -> int:
    seq = world.add_dataset_version(origin=origin, dataset=dataset)
    with world.database.write() as connection:
        connection.execute(update(dataset_versions).where(dataset_versions.c.seq == seq).values(status=int(status)))
    return seq


def left(world: World, seq: int) -> snapshots.DatasetVersion | None:
    with world.database.write() as connection:
        snapshots.drop_unneeded(connection)
        return snapshots.by_seq(connection, seq)


@pytest.mark.parametrize("status", [Status.PENDING, Status.IN_PROGRESS])
def test_one_whose_trainings_have_all_ended_fails(world: World, status: Status) -> None:
    seq = made(world, status)
    for training in (world.train(dataset_version=seq), world.train(dataset_version=seq)):
        assert (found := left(world, seq)) and found.status == status
        with world.database.write() as connection:
            versions.to_failed(connection, training, "cancelled")
    found = left(world, seq)
    assert found and found.status == Status.FAILED and "train again" in found.details


def test_one_that_was_asked_for_or_is_ready_stays(world: World) -> None:
    for seq, status in (
        (made(world, Status.PENDING, origin=1), Status.PENDING),
        (made(world, Status.READY), Status.READY),
    ):
        assert (found := left(world, seq)) and found.status == status


def test_one_without_a_dataset_goes_with_the_last_model_version_that_names_it(world: World) -> None:
    seq = made(world, Status.READY, dataset=False)
    training = world.train(dataset_version=seq)
    with world.database.write() as connection:
        versions.to_failed(connection, training, "cancelled")
    assert left(world, seq)
    with world.database.write() as connection:
        versions.delete(connection, training)
    assert left(world, seq) is None
