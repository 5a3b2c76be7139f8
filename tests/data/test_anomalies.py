"""Which pictures are good, and where those go that are not."""

import pytest

from luthier.data.anomalies import held_out, is_anomalous
from luthier.runs.manifest import Example, Region

GOOD = frozenset({"good"})
BOX = (Region("box", "dent", (0.1, 0.1, 0.4, 0.4)),)


@pytest.mark.parametrize(
    ("labels", "regions", "anomalous"),
    [
        ({"good": 1}, (), False),
        ({"good": 1, "dent": 0}, (), False),
        ({"dent": 0}, (), False),
        ({"dent": 1}, (), True),
        ({"good": 0}, (), True),
        ({"good": 1, "dent": 1}, (), True),
        ({"good": 1}, BOX, True),
        ({}, BOX, True),
        ({}, (), None),
    ],
)
def test_labels_and_regions_say_whether_a_picture_is_good(
    labels: dict[str, int], regions: tuple[Region, ...], anomalous: bool | None
) -> None:
    assert is_anomalous(Example("a", "", "train", labels, regions=regions), GOOD) is anomalous


def test_anomalies_of_train_go_to_both_judging_splits_and_nothing_else_moves() -> None:
    faults = [Example(f"dent-{number}", f"{number:064x}", "train", {"dent": 1}) for number in range(40)]
    others = [
        Example("good", "a", "train", {"good": 1}),
        Example("tested", "b", "test", {"dent": 1}),
        Example("broken", "", "train", {"dent": 1}, invalid="cut off"),
        Example("unlabelled", "c", "train"),
    ]
    moved = [*held_out([*faults, *others], GOOD)]
    assert moved[40:] == others
    counts = {split: sum(one.split == split for one in moved[:40]) for split in ("train", "val", "test")}
    assert counts["train"] == 0 and counts["val"] >= 10 and counts["test"] >= 10
    assert moved == [*held_out([*faults, *others], GOOD)]
