"""Which old examples an incremental training gets to see again."""

import unicodedata
from dataclasses import replace
from pathlib import Path

from luthier.data.replay import Unseen, key_of, with_replay
from luthier.runs.manifest import Example, Message, write_manifest
from luthier.runs.prepare import prepare
from tests.engine.runs import spec_of


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


def test_nothing_is_judged_that_the_parent_or_its_own_parent_has_learnt_from(tmp_path: Path) -> None:
    rows = [_example(0), _example(1, "test"), replace(_example(2), invalid="unreadable")]
    first = prepare(tmp_path / "first", spec_of("first"), rows)
    goes_on = spec_of("second", resume_from=str(first.checkpoints / "best"))
    second = prepare(tmp_path / "second", goes_on, [_example(3), _example(4, "val")])
    asked = [_example(number, split) for number in range(6) for split in ("train", "val", "test")]
    asked.append(replace(_example(3, "test"), invalid="unreadable"))
    unseen = Unseen(second)
    kept = list(unseen.of(asked))
    gone = [one for one in asked if one not in kept]
    assert {(one.id, one.split) for one in gone} == {(f"in-{n}", split) for n in (0, 3) for split in ("val", "test")}
    assert unseen.note.startswith("4 validation and test examples are left out: the model that this training starts")
    assert list(unseen.of(kept)) == kept and unseen.note == ""
    assert list(Unseen(None).of(asked)) == asked


def test_a_text_is_known_again_by_what_it_says() -> None:
    texts = [unicodedata.normalize(form, "Ünïcode") for form in ("NFC", "NFD")]
    assert len({key_of(Example(text, "", "train", text=text)) for text in texts}) == 1
    turns = [(Message("user", "Hi"), Message("assistant", word)) for word in ("Hello", "Hello", "Yo")]
    keys = [key_of(Example(f"line-{n}", "", "train", messages=one)) for n, one in enumerate(turns)]
    assert keys[0] == keys[1] != keys[2]
