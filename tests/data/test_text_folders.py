"""Folders of .txt files, a class each, as `luthier train` reads them."""

from collections import Counter
from pathlib import Path

from luthier.data.readers import read


def folder_of(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def many(count: int = 20) -> dict[str, str | bytes]:
    return {
        f"{label}/{number}.txt": f"{label} number {number}\n" for label in ("ham", "spam") for number in range(count)
    }


def test_each_file_is_a_text_of_its_folders_class_split_80_10_10(tmp_path: Path) -> None:
    found = read(folder_of(tmp_path, many()))
    assert [concept.id for concept in found.concepts] == ["ham", "spam"]
    assert Counter((e.split, *e.labels) for e in found.examples) == {
        (split, label): count for split, count in (("train", 16), ("val", 2), ("test", 2)) for label in ("ham", "spam")
    }
    assert {e.id: e.text for e in found.examples}["ham/3.txt"] == "ham number 3\n"
    assert all(not e.path and len(e.blob) == 64 for e in found.examples)


def test_folders_named_for_splits_are_the_splits(tmp_path: Path) -> None:
    files = {f"{split}/{label}/a.txt": f"{split} {label}" for split in ("train", "test") for label in ("ham", "spam")}
    files |= {f"train/{label}/{number}.txt": f"{label} {number}" for label in ("ham", "spam") for number in range(30)}
    found = read(folder_of(tmp_path, dict(files)))
    assert [e.id for e in found.examples if e.split == "test"] == ["test/ham/a.txt", "test/spam/a.txt"]
    assert Counter(e.split for e in found.examples)["val"] == 6  # out of train, as there is no folder


def test_other_texts_to_judge_on(tmp_path: Path) -> None:
    learnt = folder_of(tmp_path / "learnt", many())
    other = folder_of(tmp_path / "other", {"ham/x.txt": "more ham", "eggs/x.txt": "no such class"})
    found = read(learnt, test_data=other)
    assert [e.text for e in found.examples if e.split == "test"] == ["more ham"]
    assert any("eggs" in one.path for one in found.rejected)


def test_bad_E4_E1_what_is_no_utf8_or_empty_counts_as_invalid_and_other_files_are_listed(tmp_path: Path) -> None:
    files = many() | {"ham/latin.txt": b"caf\xe9", "ham/empty.txt": " \n", "ham/notes.md": "a note"}
    found = read(folder_of(tmp_path, files))
    invalid = {e.id: e.invalid for e in found.examples if e.invalid}
    assert set(invalid) == {"ham/latin.txt", "ham/empty.txt"}
    assert "byte 3" in invalid["ham/latin.txt"] and str(tmp_path) not in invalid["ham/latin.txt"]
    assert "it is no .txt file" in {one.path: one.reason for one in found.rejected}["ham/notes.md"]


def test_a_folder_with_pictures_is_one_of_pictures(tmp_path: Path) -> None:
    found = read(folder_of(tmp_path, many() | {"ham/a.png": b"no picture"}))
    assert [e.id for e in found.examples] == ["ham/a.png"]  # a broken one, and it is learnt from pictures alone
