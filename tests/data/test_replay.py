"""Which old examples an incremental training gets to see again."""

from pathlib import Path

from luthier.data.replay import with_replay
from luthier.runs.manifest import Example, write_manifest


def _example(number: int, split: str = "train") -> Example:
    return Example(f"in-{number}", f"{number:064x}", split, {"cat": 1})


def _ids(new: list[Example], parent: Path, percent: float, seed: int = 1, gone: str = "") -> list[str]:
    return [one.id for one in with_replay(new, parent, percent, seed, lambda example: example.id != gone)]


def test_a_share_of_the_old_training_examples_follows_the_new_ones(tmp_path: Path) -> None:
    parent, new = tmp_path / "manifest.jsonl", [_example(5000)]
    write_manifest(parent, [*map(_example, range(1000)), *(_example(number, "test") for number in range(1000, 2000))])
    ids = _ids(new, parent, 20)
    assert ids[0] == "in-5000" and 150 < len(ids) - 1 < 250
    assert all(int(id.removeprefix("in-")) < 1000 for id in ids[1:]), "none that judges the parent"
    assert ids == _ids(new, parent, 20) != _ids(new, parent, 20, seed=2), "the seed decides"
    assert _ids(new, parent, 0) == ["in-5000"]
    assert len(_ids(new, parent, 100)) == 1001


def test_no_example_comes_twice_and_none_whose_bytes_are_gone(tmp_path: Path) -> None:
    parent = tmp_path / "manifest.jsonl"
    write_manifest(parent, map(_example, range(10)))
    assert _ids([_example(3)], parent, 100, gone="in-4") == ["in-3", *(f"in-{n}" for n in (0, 1, 2, 5, 6, 7, 8, 9))]
    assert _ids([_example(3)], tmp_path / "gone.jsonl", 100) == ["in-3"]
