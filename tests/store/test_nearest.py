"""The vectors that lie nearest: exactly, through an index, and after inputs came and went."""

import numpy as np
import pytest
from sqlalchemy import delete

from luthier.store import nearest, vectors
from luthier.store.nearest import Nearest, Query, Vectors, ranked, unit
from luthier.store.tables import inputs
from tests.worker.world import World


def made(count: int, width: int = 16, groups: int = 0) -> Vectors:
    """Vectors of length 1, round about some centres where there are groups; inputs are numbered from 1000."""
    generator = np.random.default_rng(count)
    rows = generator.normal(size=(count, width))
    if groups:
        rows = rows * 0.3 + generator.normal(size=(groups, width))[generator.integers(groups, size=count)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Vectors(np.arange(1, count + 1), np.arange(1000, 1000 + count), rows.astype(np.float32))


def test_the_same_order_as_by_counting_out_every_distance() -> None:
    held = made(200)
    query = held.matrix[17]
    for metric in ("cosine", "euclidean"):
        found = ranked(held, [Query(query)], metric)  # type: ignore[arg-type]
        distances = np.linalg.norm(held.matrix - query, axis=1)
        assert [one.input for one in found] == list(1000 + np.argsort(distances, kind="stable"))
        assert found[0].score == pytest.approx(1, abs=1e-3)
        assert all(0 <= one.score <= 1 for one in found)


def test_of_equals_the_older_comes_first_whatever_is_asked() -> None:
    held = made(1)
    held = Vectors(np.arange(3), np.array([5, 3, 4]), np.repeat(held.matrix, 3, axis=0))
    assert [one.input for one in ranked(held, [Query(held.matrix[0])], "cosine")] == [3, 4, 5]
    assert [one.input for one in ranked(held, [Query(held.matrix[0])], "cosine", among=[5, 4, 77])] == [4, 5]


def test_a_vector_without_a_direction_is_refused() -> None:
    for values in ([], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]):
        with pytest.raises(ValueError, match="not 0"):
            unit(values)
    assert unit([3.0, 4.0]).tolist() == pytest.approx([0.6, 0.8])


def test_an_index_finds_nearly_all_that_an_exact_search_finds() -> None:
    held, here = made(5000, groups=40), Nearest()
    hits = 0
    for place in range(0, 5000, 100):
        query = Query(held.matrix[place])
        found = here.approximately(1, held, query, "cosine", 10)
        exact = ranked(held, [query], "cosine")[:10]
        assert found[0] == exact[0] and found[0].input == 1000 + place
        hits += len({one.input for one in found} & {one.input for one in exact})
    assert hits >= 0.97 * 50 * 10


def test_an_index_knows_of_later_and_deleted_vectors() -> None:
    held, here = made(2000), Nearest()
    first = Vectors(held.seqs[:1900], held.inputs[:1900], held.matrix[:1900])
    here.approximately(1, first, Query(held.matrix[0]), "cosine", 1)
    assert here.approximately(1, held, Query(held.matrix[1950]), "cosine", 1)[0].input == 2950
    kept = held.seqs != 8
    without = Vectors(held.seqs[kept], held.inputs[kept], held.matrix[kept])
    assert here.approximately(1, without, Query(held.matrix[7]), "cosine", 5)[0].input != 1007


def test_an_index_is_for_many_vectors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    held = made(100)
    assert not nearest.has_index(held)
    monkeypatch.setattr(nearest, "EXACT_BELOW", 100)
    assert nearest.has_index(held)


# -- in the database ---------------------------------------------------------------------------------------------------


def version_of(world: World) -> int:
    world.add_label(world.add_inputs([("", b"one more")])[0], "cat")
    return world.train()


def keep(world: World, version: int, given: dict[int, np.ndarray]) -> None:
    with world.database.write() as connection:
        vectors.keep(connection, version, [(input, row.astype("<f4").tobytes()) for input, row in given.items()])


def test_pictures_wait_for_vectors_until_they_have_one(world: World) -> None:
    version = version_of(world)
    first, second = world.add_inputs([("", b"a"), ("", b"b")])
    world.add_inputs([("", b"bad")], status=47104)
    with world.database.read() as connection:
        waiting = vectors.missing(connection, version, world.app, 10)
        assert [one.input for one in waiting][-2:] == [first, second]
        assert vectors.count_missing(connection, version, world.app) == 3
        assert len(vectors.missing(connection, version, world.app, 2)) == 2
    keep(world, version, {first: np.ones(3), second: np.empty(0), 10**6: np.ones(3)})
    keep(world, version, {first: np.zeros(3)})
    with world.database.read() as connection:
        assert vectors.count_missing(connection, version, world.app) == 1
        rows = list(vectors.after(connection, version, 0))
        assert [(row.input, np.frombuffer(row.vector, "<f4").tolist()) for row in rows] == [(first, [1, 1, 1])]
        assert vectors.stamp(connection, version).count == 1


def test_memory_follows_the_database(world: World) -> None:
    version, here = version_of(world), Nearest()
    seqs = world.add_inputs([("", bytes([n])) for n in range(6)])
    rows = dict(zip(seqs, made(6).matrix, strict=True))

    def held() -> list[int]:
        with world.database.read() as connection:
            found = here.vectors(connection, version)
        assert all(np.array_equal(row, rows[int(input)]) for row, input in zip(found.matrix, found.inputs, strict=True))
        return found.inputs.tolist()

    assert held() == []
    keep(world, version, {seq: rows[seq] for seq in seqs[:3]})
    assert held() == seqs[:3]
    keep(world, version, {seq: rows[seq] for seq in seqs[3:5]})
    assert held() == seqs[:5]
    with world.database.write() as connection:
        connection.execute(delete(inputs).where(inputs.c.seq.in_([seqs[1], seqs[4]])))
    assert held() == [seqs[0], seqs[2], seqs[3]]
    with world.database.write() as connection:
        connection.execute(delete(inputs).where(inputs.c.seq == seqs[0]))
    keep(world, version, {seqs[5]: rows[seqs[5]]})
    assert held() == [seqs[2], seqs[3], seqs[5]]


def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "MOST_BYTES", 16 * 4 * 3)
    first, second, here = version_of(world), version_of(world), Nearest()
    seqs = world.add_inputs([("", bytes([n])) for n in range(3)])
    for version in (first, second):
        keep(world, version, dict(zip(seqs, made(3).matrix, strict=True)))
        with world.database.read() as connection:
            assert len(here.vectors(connection, version).seqs) == 3
    assert list(here._held) == [second]
