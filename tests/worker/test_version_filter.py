"""Which labels and regions an annotation filter leaves in a frozen version."""

from collections.abc import Callable

import pytest

from luthier.store.regions import Marked
from luthier.store.snapshots import GOOD_INPUT, Member
from luthier.worker.loop import Worker
from luthier.worker.version_filter import filtered
from tests.worker.test_data_jobs import frozen
from tests.worker.world import World

BOX = (0.0, 0.0, 0.5, 0.5)


def member(labels: dict[str, int], *regions: dict[str, int]) -> Member:
    marked = [Marked("box", BOX, carried) for carried in regions]
    return Member("i", "b" * 64, GOOD_INPUT, "", "", 8, 8, labels, marked)


def one(concepts: dict[str, int], negate: bool = False) -> dict[str, object]:
    return {"concepts": [list(pair) for pair in concepts.items()], "negate": negate}


def left(given: Member, *filters: dict[str, object]) -> tuple[dict[str, int], list[dict[str, int]]]:
    (kept,) = filtered([given], {"filters": filters, "ignore_empty_inputs": False})
    return kept.labels, [region.labels for region in kept.regions]


def test_without_a_filter_everything_stays() -> None:
    given = member({"cat": 1, "dog": 0}, {"cat": 1}, {})
    assert list(filtered([given], None)) == [given]
    assert left(given) == ({"cat": 1, "dog": 0}, [{"cat": 1}, {}])


@pytest.mark.parametrize(
    ("filters", "labels", "regions"),
    [
        ([one({"cat": 1})], {"cat": 1}, [{"cat": 1}]),
        ([one({"cat": 1, "dog": 0})], {"cat": 1, "dog": 0}, [{"cat": 1}]),
        ([one({"dog": 1})], {}, [{"dog": 1}]),
        ([one({"cat": 1}, negate=True)], {"dog": 0}, [{"dog": 1}, {"bird": 1}]),
        ([one({"cat": 1}), one({"dog": 0})], {}, []),
        ([one({"cat": 1}, negate=True), one({"dog": 1}, negate=True)], {"dog": 0}, [{"bird": 1}]),
    ],
)
def test_labels_and_regions_pass_every_filter(
    filters: list[dict[str, object]], labels: dict[str, int], regions: list[dict[str, int]]
) -> None:
    given = member({"cat": 1, "dog": 0}, {"cat": 1, "dog": 1}, {"bird": 1}, {})
    assert left(given, *filters) == (labels, regions)


def test_empty_inputs_may_be_left_out() -> None:
    given = [member({"cat": 1}), member({"dog": 1}), member({}), member({}, {"cat": 1})]
    found = list(filtered(given, {"filters": [one({"cat": 1})], "ignore_empty_inputs": True}))
    assert found == [given[0], given[3]]
    assert len(list(filtered(given, {"filters": [], "ignore_empty_inputs": True}))) == 3


def test_a_version_is_frozen_through_its_filter(
    world: World, digits: list[tuple[str, bytes]], start_worker: Callable[..., Worker]
) -> None:
    world.add_inputs([(f"d{label}", data) for label, data in digits[:60]])
    start_worker()
    filter = {"filters": [one({"d1": 1, "d2": 1})], "ignore_empty_inputs": True}
    seq = world.snapshot(annotation_filter=filter)
    examples = frozen(world, seq)
    assert len(examples) == sum(label in "12" for label, _ in digits[:60])
    assert {concept for example in examples for concept in example.labels} == {"d1", "d2"}
    counts = world.dataset_version(seq)["counts"]
    assert counts["inputs"] == len(examples) and set(counts["per_concept"]) == {"d1", "d2"}
    assert len(frozen(world, world.snapshot(annotation_filter={**filter, "ignore_empty_inputs": False}))) == 60
