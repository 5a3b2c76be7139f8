"""Splits: deterministic, stratified, and one picture never on both sides."""

import hashlib
import random
from collections import Counter

import pytest

from luthier.data.split import DEFAULT_RATIOS, Item, assign_splits, check_ratios, pin_conflicts
from luthier.errors import InvalidRequest


def blob(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def items(count: int, classes: int = 10) -> list[Item]:
    return [Item(blob(n), f"class {n % classes}") for n in range(count)]


def test_shares_are_as_asked_over_all_and_in_each_class() -> None:
    given = items(1797)
    splits = assign_splits(given, DEFAULT_RATIOS)
    assert Counter(splits.values()) == {"train": 1437, "val": 180, "test": 180}
    for stratum in {item.stratum for item in given}:
        counts = Counter(splits[item.blob] for item in given if item.stratum == stratum)
        assert abs(counts["train"] - 0.8 * counts.total()) <= 1
        assert abs(counts["val"] - 0.1 * counts.total()) <= 1.5
        assert abs(counts["test"] - 0.1 * counts.total()) <= 1.5


def test_order_does_not_matter_and_the_seed_does() -> None:
    given = items(300)
    shuffled = random.Random(1).sample(given, len(given))
    assert assign_splits(given, DEFAULT_RATIOS, 7) == assign_splits(shuffled, DEFAULT_RATIOS, 7)
    assert assign_splits(given, DEFAULT_RATIOS, 7) != assign_splits(given, DEFAULT_RATIOS, 8)


def test_the_same_on_every_machine() -> None:
    splits = assign_splits(items(20, classes=2), DEFAULT_RATIOS, seed=0)
    assert [n for n in range(20) if splits[blob(n)] == "val"] == [2, 7]
    assert [n for n in range(20) if splits[blob(n)] == "test"] == [0, 1]


def test_bad_F10_one_content_is_on_one_side_however_often_it_occurs() -> None:
    given = [*items(100), *[Item(blob(n), f"class {(n + 1) % 10}") for n in range(0, 100, 3)], *items(50)]
    splits = assign_splits(given, DEFAULT_RATIOS)
    assert len(splits) == 100
    assert splits == assign_splits(given[::-1], DEFAULT_RATIOS)


@pytest.mark.parametrize("per_class", [1, 2, 3, 4, 5, 8])
def test_small_classes_all_train_and_still_fill_the_other_splits(per_class: int) -> None:
    given = items(per_class * 20, classes=20)
    splits = assign_splits(given, DEFAULT_RATIOS)
    trained = {item.stratum for item in given if splits[item.blob] == "train"}
    assert len(trained) == 20
    counts = Counter(splits.values())
    if per_class > 1:
        assert counts["val"] == counts["test"] == 2 * per_class


def test_pinned_inputs_stay_where_they_are_pinned() -> None:
    given = [Item(item.blob, item.stratum, "test" if n < 30 else "") for n, item in enumerate(items(130))]
    splits = assign_splits(given, DEFAULT_RATIOS)
    assert all(splits[blob(n)] == "test" for n in range(30))
    assert Counter(splits[blob(n)] for n in range(30, 130)) == {"train": 80, "val": 10, "test": 10}


def test_bad_F11_pinned_to_two_splits_the_hash_decides_and_it_is_reported() -> None:
    torn = [Item(blob(1), "a", "train"), Item(blob(1), "a", "test"), Item(blob(2), "a", "val")]
    first = assign_splits([*items(10), *torn], DEFAULT_RATIOS)
    assert first[blob(1)] in ("train", "test")
    assert first == assign_splits([*torn[::-1], *items(10)], DEFAULT_RATIOS)
    assert pin_conflicts(torn) == {blob(1): ("test", "train")}


def test_ratios_need_not_sum_to_one() -> None:
    assert check_ratios({"train": 70, "test": 30}) == {"train": 0.7, "val": 0.0, "test": 0.3}
    assert set(assign_splits(items(100), {"train": 1}).values()) == {"train"}


@pytest.mark.parametrize(
    "ratios", [{}, {"train": 0}, {"trian": 1.0}, {"train": -1}, {"train": float("nan")}, {"train": "80"}, {"val": 1}]
)
def test_wrong_ratios_are_refused(ratios: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest):
        assign_splits(items(10), ratios)


def test_a_wrong_pin_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'training'"):
        assign_splits([Item(blob(1), "a", "training")], DEFAULT_RATIOS)


def test_many_random_datasets_are_dealt_completely() -> None:
    chance = random.Random(3)
    for _ in range(200):
        given = [Item(blob(n), str(chance.randrange(6))) for n in range(chance.randrange(1, 60))]
        ratios = {"train": chance.uniform(0.1, 1), "val": chance.random(), "test": chance.random()}
        splits = assign_splits(given, ratios, chance.randrange(100))
        assert len(splits) == len(given)
        assert {i.stratum for i in given} == {i.stratum for i in given if splits[i.blob] == "train"}
