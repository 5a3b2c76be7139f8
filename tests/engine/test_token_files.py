"""Tokens of texts: read again by a later training, found out where damaged, gone with their inputs, bounded."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luthier.engine import loading, token_files
from luthier.engine.loading import Data
from luthier.engine.recipe import Encoded, Recipe, recipe_for
from luthier.engine.recipes.text_classification import TextClassification
from luthier.engine.token_files import TokenFiles
from luthier.runs.manifest import Example
from luthier.runs.run import RunFolder, RunSpec
from luthier.store.blobs import Blobs
from luthier.store.token_files import forget
from tests.engine.runs import finished, hashes_of_weights, train_here
from tests.recipes import test_text_classifiers as classifiers
from tests.recipes import test_text_generators as generators

SPLITS = ("train", "train", "val", "train", "test")


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    texts = [text for of_subject in classifiers.SUBJECTS.values() for text in of_subject]
    classifiers.tiny_encoder(classifiers.folder(root, classifiers.WEIGHTS), texts)
    return root


@pytest.fixture(autouse=True)
def everything_is_worth_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "WORTH_SECONDS", 0.0)


def spec_for(weights_dir: Path, tokens: Path, name: str = "run", **plan: Any) -> RunSpec:
    return replace(classifiers.small_spec(weights_dir, name, **plan), tokens_folder=str(tokens))


def encoded(run: RunFolder, log: list[str], split: str = "train") -> tuple[list[Encoded], list[int]]:
    recipe = recipe_for(run.spec())
    data = Data(run.manifest_file, run.spec(), recipe, 1, token_files.open_files(run.spec(), recipe, log.append))
    try:
        sizes = data.sizes(split)
        return [one for at in range(len(data.splits[split])) if (one := data._encoded(split, at))], sizes
    finally:
        data.close()


def same(one: list[Encoded], other: list[Encoded]) -> bool:
    return all(
        a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a)
        for a, b in zip(one, other, strict=True)
    )


def no_tokenizer(recipe: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(self: Recipe, data: bytes, example: Example) -> Encoded:
        raise AssertionError("tokenised anew")

    monkeypatch.setattr(recipe, "encode", encode)


def test_a_second_training_reads_its_tokens_and_ends_with_the_same_bytes(
    weights_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = classifiers.examples(SPLITS)
    runs = [
        classifiers.made(tmp_path / name, spec_for(weights_dir, tmp_path / folder), rows)
        for name, folder in (("first", "tokens"), ("second", "tokens"), ("alone", "elsewhere"))
    ]
    finished(train_here(runs[0]))
    finished(train_here(runs[2]))
    assert len(list((tmp_path / "tokens").iterdir())) == 3  # a file for each split
    no_tokenizer(TextClassification, monkeypatch)
    finished(train_here(runs[1]))
    assert "Tokens of an earlier training on the same texts are used" in runs[1].log_file.read_text()
    assert hashes_of_weights(runs[0]) == hashes_of_weights(runs[1]) == hashes_of_weights(runs[2])


def test_other_settings_texts_and_tokenizers_have_files_of_their_own(weights_dir: Path, tmp_path: Path) -> None:
    tokens, rows = tmp_path / "tokens", classifiers.examples()
    other = [*rows[:-1], replace(rows[-1], text="something else")]
    made = [
        (spec_for(weights_dir, tokens), rows, 1),
        (
            spec_for(weights_dir, tokens, learning_rate=1.0, epochs=9),
            [replace(row, id=row.id + "x") for row in rows],
            1,
        ),
        (spec_for(weights_dir, tokens, max_tokens=9), rows, 2),
        (spec_for(weights_dir, tokens, cut_at="start"), rows, 3),
        (replace(spec_for(weights_dir, tokens), text_preparation={"lower_case": True}), rows, 4),
        (spec_for(weights_dir, tokens), other, 5),
        (spec_for(weights_dir, tokens), rows[::-1], 6),
    ]
    for number, (spec, examples, files) in enumerate(made):
        encoded(classifiers.made(tmp_path / f"{number}", spec, examples), [])
        assert len(list(tokens.iterdir())) == files, number
    run = classifiers.made(tmp_path / "tokenizer", spec_for(weights_dir, tokens), rows)
    changed = replace(run.spec(), assets={**run.spec().assets, "tokenizer.json": "0" * 64})
    files = token_files.open_files(changed, recipe_for(run.spec()), print)
    mine = token_files.open_files(run.spec(), recipe_for(run.spec()), print)
    assert files is not None and mine is not None and files.file_of([]) != mine.file_of([])
    for off in ({"tokens_folder": ""}, {"token_cache_mb": 0}, {"assets": {}}):
        assert token_files.open_files(replace(run.spec(), **off), recipe_for(run.spec()), print) is None


def test_labels_are_not_kept_and_what_cannot_be_read_is_told_again(weights_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9")
    rows = [*classifiers.examples(), Example("bad", "", "train", {"sound": 1}, path=str(file))]
    spec = replace(spec_for(weights_dir, tmp_path / "tokens"), invalid_data_tolerance_percent=100.0)
    first, sizes = encoded(classifiers.made(tmp_path / "first", spec, rows), [])
    relabelled = [replace(row, labels={"games": 1}) for row in rows]
    run, log = classifiers.made(tmp_path / "second", spec, relabelled), list[str]()
    second, again = encoded(run, log)
    assert len(log) == 1 and "Tokens of an earlier training" in log[0] and sizes == again and sizes[-1] == 0
    assert len(second) == 15 and all(one["target"].tolist() == [0, 1, 0] for one in second)
    assert all(np.array_equal(a["tokens"], b["tokens"]) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_tokens_of_generators_are_kept_too(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(
        generators.small_spec(generators.weights_of(tmp_path / "w", kind)), tokens_folder=str(tmp_path / "t")
    )
    run = generators.made(tmp_path / "run", spec, generators.examples())
    first, _ = encoded(run, [])
    no_tokenizer(generators.TextGeneration, monkeypatch)
    second, _ = encoded(run, [])
    assert first and same(first, second)


def test_P8_any_flipped_bit_and_any_cut_is_found_and_the_texts_are_read_anew(weights_dir: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    run = classifiers.made(tmp_path / "run", spec_for(weights_dir, tokens), classifiers.examples())
    want, _ = encoded(run, [])
    (file,) = tokens.iterdir()
    good, random = file.read_bytes(), np.random.default_rng(1)
    files = token_files.open_files(run.spec(), recipe_for(run.spec()), print)
    assert files is not None
    damaged = [good[: int(at)] for at in random.integers(0, len(good), 20)]
    for place in random.integers(0, len(good), 60).tolist():
        damaged.append(good[:place] + bytes([good[place] ^ (1 << place % 8)]) + good[place + 1 :])
    for data in damaged:
        file.write_bytes(data)
        assert files.read(file) is None and not file.exists()
    file.write_bytes(damaged[-1])
    log: list[str] = []
    found, _ = encoded(run, log)
    assert same(found, want) and "is damaged: it is removed, and the texts are read anew" in log[0]
    assert file.read_bytes() == good


def test_the_longest_unused_make_way_and_a_full_disk_costs_nothing(tmp_path: Path) -> None:
    log: list[str] = []
    files = TokenFiles(tmp_path / "tokens", 2500, 0, ("tokens",), lambda row, _: row, "", log.append)
    row = [{"tokens": np.arange(200, dtype=np.int32)}]
    places = [files.file_of([bytes([number]) * 32]) for number in range(4)]
    for number, place in enumerate(places[:2]):
        files.write(place, [bytes(32)], row)
        os.utime(place, (number, number))
    assert files.read(places[0]) is not None  # the first is used again: the second goes
    files.write(places[2], [bytes(32)], row)
    assert [place.exists() for place in places] == [True, False, True, False]
    files.write(places[3], [bytes(32)], [{"tokens": np.arange(2000, dtype=np.int32)}])  # larger than all together
    assert sorted(one.name for one in files.folder.iterdir()) == sorted((places[0].name, places[2].name))
    full = replace(files, reserve_bytes=2**62)
    full.write(places[3], [bytes(32)], row)
    assert "bytes free" in log[-1] and "disk_reserve_mb" in log[-1]
    replace(files, folder=places[0]).write(places[0] / "x.tokens", [bytes(32)], row)
    assert not places[3].exists() and "Tokens are not kept for later trainings" in log[-1]


def test_trainings_that_write_the_same_file_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    log: list[str] = []
    files = TokenFiles(tmp_path, 2**24, 0, ("tokens",), lambda row, _: row, "", log.append)
    place, row = files.file_of([bytes(32)]), [{"tokens": np.arange(10**5, dtype=np.int32)}]
    with ThreadPoolExecutor(8) as trainings:
        for one in [trainings.submit(files.write, place, [bytes(32)], row) for _ in range(40)]:
            one.result()
            assert files.read(place) is not None
    assert list(tmp_path.iterdir()) == [place] and not any("not kept" in line or "damaged" in line for line in log)


def test_tokens_of_deleted_inputs_are_removed(weights_dir: Path, tmp_path: Path) -> None:
    blobs, tokens = Blobs(tmp_path / "blobs"), tmp_path / "tokens"
    texts = [row.text for row in classifiers.examples()]
    shas = blobs.put_many([text.encode() for text in texts])
    for number, chosen in enumerate((shas, shas[:-1])):
        rows = [Example(f"{n}", sha, "train", {"sound": 1}) for n, sha in enumerate(chosen)]
        spec = replace(spec_for(weights_dir, tokens), blob_folder=str(tmp_path / "blobs"))
        found, _ = encoded(classifiers.made(tmp_path / f"{number}", spec, rows), [])
        assert len(found) == len(chosen)
    assert forget(tokens, blobs.exists) == 0 and len(list(tokens.iterdir())) == 2
    blobs.delete(hashlib.sha256(texts[-1].encode()).hexdigest())
    assert forget(tokens, blobs.exists) == 1 and len(list(tokens.iterdir())) == 1
    (tokens / "junk.tokens").write_bytes(b"no such file")
    left, being_written = tokens / ".left.tmp", tokens / ".new.tmp"
    for file in (left, being_written):
        file.touch()
    os.utime(left, (0, 0))
    assert forget(tokens, blobs.exists) == 2 and being_written.exists() and not left.exists()
    assert forget(tmp_path / "nowhere", blobs.exists) == 0
