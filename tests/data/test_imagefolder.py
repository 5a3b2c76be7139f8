"""The ImageFolder reader: layouts, what it rejects and why, and that it never leaves the folder."""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from luthier.data.check import check_examples
from luthier.data.readers.imagefolder import read
from luthier.errors import InvalidRequest, NoTrainingData
from luthier.runs.manifest import example_from_line, example_to_line
from tests.data.pictures import jpeg, of_every_format, saved

Make = Callable[..., Path]
_made = iter(range(1 << 30))


def picture() -> bytes:
    """A small PNG unlike every other."""
    number = next(_made)
    color = number >> 16, number >> 8 & 255, number & 255
    return saved(Image.new("RGB", (4, 3), color), "PNG")


def fill(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        (folder / f"{n:03}.png").write_bytes(picture())


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make({"cats": 10, "dogs": 10}) is a folder with so many pictures in each sub-folder."""

    def made(counts: dict[str, int], name: str = "data") -> Path:
        for folder, count in counts.items():
            fill(tmp_path / name / folder, count)
        return tmp_path / name

    return made


def by_split(examples: list) -> dict[str, int]:
    return dict(Counter(example.split for example in examples))


def reasons(result) -> dict[str, str]:
    return {rejected.path: rejected.reason for rejected in result.rejected}


def test_classes_are_split_80_10_10(make: Make) -> None:
    folder = make({"cats": 50, "dogs": 50})
    result = read(folder)
    assert [concept.id for concept in result.concepts] == ["cats", "dogs"]
    assert by_split(result.examples) == {"train": 80, "val": 10, "test": 10}
    assert (result.rejected, result.notes) == ([], [])
    first = result.examples[0]
    assert (first.id, first.labels, first.width, first.height) == ("cats/000.png", {"cats": 1}, 4, 3)
    assert Path(first.path) == folder / "cats" / "000.png" and len(first.blob) == 64
    assert example_from_line(example_to_line(first)) == first


def test_reading_twice_gives_the_same(make: Make) -> None:
    folder = make({"b": 20, "a": 20, "c": 5})
    assert read(folder) == read(folder)
    assert [example.id for example in read(folder).examples] == sorted(example.id for example in read(folder).examples)


def test_split_folders_are_the_splits(make: Make) -> None:
    counts = {"train": 20, "Validation": 5, "test": 4}
    folder = make({f"{split}/{name}": count for split, count in counts.items() for name in "ab"})
    result = read(folder)
    assert by_split(result.examples) == {"train": 40, "val": 10, "test": 8}
    assert result.notes == []


def test_a_split_without_a_folder_is_taken_out_of_train(make: Make) -> None:
    result = read(make({"train/a": 50, "train/b": 50, "test/a": 7, "test/b": 7}))
    assert by_split(result.examples) == {"train": 90, "val": 10, "test": 14}
    assert any("no val folder" in note for note in result.notes)
    only = read(make({"train/a": 50, "train/b": 50}, "only train"))
    assert by_split(only.examples) == {"train": 80, "val": 10, "test": 10}


def test_a_class_may_be_called_train(make: Make) -> None:
    result = read(make({"train": 10, "bus": 10, "car": 10}))
    assert [concept.id for concept in result.concepts] == ["bus", "car", "train"]


def test_what_lies_beside_the_splits_is_rejected(make: Make) -> None:
    folder = make({"train/a": 5, "train/b": 5, "extra/a": 5})
    (folder / "notes.txt").write_text("hello")
    result = read(folder)
    assert len(result.examples) == 10
    assert set(reasons(result)) == {"extra", "notes.txt"}


def test_other_test_data_replaces_the_test_split(make: Make) -> None:
    folder = make({"a": 50, "b": 50})
    other = make({"a": 3, "b": 4, "unknown": 2}, "other")
    result = read(folder, other)
    assert by_split(result.examples) == {"train": 90, "val": 10, "test": 7}
    assert "unknown/" in reasons(result)
    ids = [example.id for example in result.examples]
    assert len(set(ids)) == len(ids) and "test-data:a/000.png" in ids
    own = make({"train/a": 9, "train/b": 9, "val/a": 1, "val/b": 1, "test/a": 1, "test/b": 1}, "own")
    replaced = read(own, other)
    assert by_split(replaced.examples) == {"train": 18, "val": 2, "test": 7}
    assert any("own test split" in note for note in replaced.notes)


def test_unreadable_pictures_are_rejected_and_count_as_invalid(make: Make) -> None:
    folder = make({"a": 20, "b": 20})
    (folder / "a" / "cut.jpg").write_bytes(jpeg()[:-50])
    (folder / "a" / "empty.png").write_bytes(b"")
    (folder / "b" / "README.md").write_text("not a picture, and not meant as one")
    result = read(folder)
    assert reasons(result)["a/cut.jpg"] == f"file ends early at byte {len(jpeg()) - 50}"
    assert "empty" in reasons(result)["a/empty.png"] and "b/README.md" in reasons(result)
    invalid = {example.id: example.invalid for example in result.examples if example.invalid}
    assert set(invalid) == {"a/cut.jpg", "a/empty.png"}
    report = check_examples(result.examples, result.concepts, 5.0)
    assert len(report.skipped) == 2 and report.total == 42


def test_every_format_and_a_wrong_ending(make: Make) -> None:
    folder = make({"b": 2})
    (folder / "a").mkdir()
    for name, data in of_every_format().items():
        (folder / "a" / f"{name}.dat").write_bytes(data)
    assert len([example for example in read(folder).examples if example.labels == {"a": 1}]) == 6


def test_hidden_files_are_passed_over(make: Make) -> None:
    folder = make({"a": 3, "b": 3, ".git": 3, "__MACOSX": 2})
    (folder / "a" / ".DS_Store").write_bytes(b"\0")
    (folder / "a" / "._000.png").write_bytes(b"\0")
    result = read(folder)
    assert len(result.examples) == 6 and result.rejected == []


def test_nothing_outside_the_folder_is_read(make: Make, tmp_path: Path) -> None:
    folder = make({"a": 3, "b": 3})
    fill(tmp_path / "secret", 2)
    (folder / "c").symlink_to(tmp_path / "secret")
    (folder / "a" / "out.png").symlink_to(tmp_path / "secret" / "000.png")
    (folder / "a" / "inside.png").symlink_to(folder / "b" / "000.png")
    (folder / "a" / "nowhere.png").symlink_to("gone.png")
    (folder / "a" / "circle").symlink_to(folder / "a")
    (folder / "a" / "self").symlink_to("self")
    result = read(folder)
    assert {example.id for example in result.examples} == {
        *(f"{c}/{n:03}.png" for c in "ab" for n in range(3)),
        "a/inside.png",
    }
    assert {path: reason.removeprefix("it is a link ") for path, reason in reasons(result).items()} == {
        "c": "it is not a folder of a class",
        "a/out.png": "that leads out of the folder",
        "a/nowhere.png": "that leads nowhere",
        "a/self": "that leads nowhere",
        "a/circle": "to a folder",
    }


def test_a_folder_that_is_itself_a_link_is_read(make: Make, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(make({"a": 3, "b": 3}))
    assert len(read(tmp_path / "link").examples) == 6


def test_pipes_and_other_special_files_are_not_opened(make: Make) -> None:
    folder = make({"a": 3, "b": 3})
    os.mkfifo(folder / "a" / "pipe.png")
    assert reasons(read(folder)) == {"a/pipe.png": "it is not a regular file"}


def test_names_are_nfc_and_odd_names_are_rejected(make: Make) -> None:
    decomposed = unicodedata.normalize("NFD", "Äpfel")
    folder = make({decomposed: 3, "Not spam": 3, "a" * 129: 1, " outer": 1, "bell\x07": 1, "rtl\u202e": 1})
    result = read(folder)
    assert [concept.name for concept in result.concepts] == ["Not spam", "Äpfel"]
    assert len(result.rejected) == 4
    assert "\\x07" in reasons(result)["bell\x07"]


def test_a_file_name_that_is_not_utf_8_is_rejected(make: Make) -> None:
    folder = make({"a": 2, "b": 2})
    try:
        (folder / "a" / os.fsdecode(b"caf\xe9.png")).write_bytes(picture())
    except OSError:
        return  # file systems of macOS refuse such names themselves
    result = read(folder)
    assert len(result.examples) == 4
    assert "UTF-8" in result.rejected[0].reason and result.rejected[0].path.isascii()


def test_bad_F10_copies_across_given_splits_leave_the_judging_side(make: Make) -> None:
    folder = make({"train/a": 5, "train/b": 5, "val/a": 2, "val/b": 2, "test/a": 2, "test/b": 2})
    twin = (folder / "train/a/000.png").read_bytes()
    (folder / "test/a/twin.png").write_bytes(twin)
    (folder / "val/b/twin.png").write_bytes(twin)
    result = read(folder)
    assert by_split(result.examples) == {"train": 10, "val": 4, "test": 4}
    (note,) = result.notes
    assert "2 pictures" in note and "1 of them under another class" in note and "test/a/twin.png" in note


def test_bad_F10_copies_stay_together_in_a_random_split(make: Make) -> None:
    folder = make({"a": 30, "b": 30})
    for n in range(30):
        (folder / "a" / f"copy{n}.png").write_bytes((folder / "a" / f"{n:03}.png").read_bytes())
    result = read(folder)
    sides: dict[str, set[str]] = {}
    for example in result.examples:
        sides.setdefault(example.blob, set()).add(example.split)
    assert all(len(splits) == 1 for splits in sides.values())
    assert any("30 pictures are byte for byte copies" in note for note in result.notes)


def test_the_same_bytes_under_two_classes_are_reported(make: Make) -> None:
    folder = make({"a": 20, "b": 20})
    (folder / "b" / "torn.png").write_bytes((folder / "a" / "000.png").read_bytes())
    result = read(folder)
    warnings = check_examples(result.examples, result.concepts).warnings
    assert any("a/000.png = b/torn.png" in warning for warning in warnings)


def test_deeper_folders_belong_to_their_class(make: Make) -> None:
    assert len(read(make({"a/2023/may": 3, "a/2024": 2, "b": 2})).examples) == 7


def test_progress_is_told(make: Make) -> None:
    told: list[tuple[int, int]] = []
    read(make({"a": 70, "b": 70}), progress=lambda done, total: told.append((done, total)))
    assert told == [(64, 140), (128, 140), (140, 140)]


def test_bad_F7_nothing_there(make: Make, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is not a folder"):
        read(tmp_path / "missing")
    empty = make({"a": 0}, "empty")
    with pytest.raises(NoTrainingData):
        read(empty)
    (empty / "loose.png").write_bytes(picture())
    with pytest.raises(NoTrainingData, match=r"loose\.png: it is not a folder of a class"):
        read(empty)
    (empty / "a" / "notes.txt").write_text("hello")
    with pytest.raises(NoTrainingData, match="none of 1 files is a picture"):
        read(empty)
