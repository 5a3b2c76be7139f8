"""The text-classifier's own templates: trained, judged, served and gone on with, from a tiny encoder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.catalog.weights import folder
from luthier.engine import checkpoint
from luthier.engine.evaluate import evaluate
from luthier.engine.loading import Data, chunks_in_order, training_chunks
from luthier.engine.predict import Predictor
from luthier.engine.recipe import recipe_for
from luthier.errors import CorruptFile, MissingWeights
from luthier.runs.events import Failed
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import finished, spec_of, train_here
from tests.recipes.tiny_language_models import tiny_encoder

CONCEPTS = ("sound", "games", "Ünïcode & co")
SUBJECTS = {
    "sound": ["plays music files", "mixer for music", "records a song", "song player", "audio editor"],
    "games": ["a puzzle with cards", "chess for two", "plays chess", "space shooter", "cards for children"],
    "Ünïcode & co": ["fonts for Greek", "Cyrillic fonts", "draws letters", "letters of Thai", "font editor"],
}
WEIGHTS = "sentence-transformers/all-MiniLM-L6-v2"


def examples(splits: tuple[str, ...] = ("train",) * 5) -> list[Example]:
    in_turn = zip(*SUBJECTS.values(), strict=True)
    rows = [row for texts in in_turn for row in zip(SUBJECTS, texts, strict=True)]
    return [
        Example(f"text-{number}", "", splits[number % len(splits)], {concept: 1}, text=text)
        for number, (concept, text) in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    tiny_encoder(folder(root, WEIGHTS), [text for texts in SUBJECTS.values() for text in texts])
    return root


def small_spec(weights_dir: Path, name: str = "run", **plan: Any) -> RunSpec:
    overlay = {"batch_size": 4, "epochs": 2, "warmup_steps": 0, **plan}
    concepts, type_ = tuple(CONCEPTS), "text-classifier"
    return spec_of(
        name, "luthier_minilm", concepts=concepts, plan=overlay, model_type=type_, weights_folder=str(weights_dir)
    )


def made(path: Path, spec: RunSpec, rows: list[Example]) -> RunFolder:
    base = folder(Path(spec.weights_folder), WEIGHTS)
    return prepare(path, spec, rows, [base / "config.json", base / "tokenizer.json"])


LEARNS = {"epochs": 30, "learning_rate": 3e-3, "backbone_multiplier": 1.0, "schedule": "constant", "dropout": 0.0}


def test_a_frozen_body_reads_each_text_once_and_the_head_learns_the_same(weights_dir: Path, tmp_path: Path) -> None:
    metrics = {}
    for cache in ("off", "auto"):
        spec = small_spec(weights_dir, trainable_layers="head", feature_cache=cache, class_weights="balanced")
        run = made(tmp_path / cache, spec, examples(("train", "train", "val", "train", "test")))
        metrics[cache] = finished(train_here(run)).metrics
        assert run.report()["feature_cache"].get("examples", 0) == (12 if cache == "auto" else 0)
    assert metrics["auto"] == pytest.approx(metrics["off"], abs=1e-4)


def test_overfits_fifteen_texts_and_needs_nothing_but_its_run_folder(weights_dir: Path, tmp_path: Path) -> None:
    run = made(tmp_path / "run", small_spec(weights_dir, **LEARNS), examples())
    finished(train_here(run))
    moved = RunFolder(run.path.rename(tmp_path / "moved"))
    moved.spec_file.write_text(replace(moved.spec(), weights_folder="/nowhere").to_json(), encoding="utf-8")

    judged = evaluate(moved, moved.checkpoints / "best", moved.manifest_file)
    assert judged["metrics"]["accuracy"] >= 0.95
    texts = [b"plays music files", b"\xef\xbb\xbfchess for two", b"draws letters"]
    values = [one["values"] for one in Predictor(moved, moved.checkpoints / "best").answer("text", texts)]
    assert [max(CONCEPTS, key=lambda one: row[CONCEPTS.index(one)]) for row in values] == list(CONCEPTS)
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in values)


def test_independent_concepts_get_a_sigmoid_each(weights_dir: Path, tmp_path: Path) -> None:
    rows = [replace(row, labels={**row.labels, "sound": 1}) for row in examples()]
    run = made(tmp_path / "run", small_spec(weights_dir, mutually_exclusive=False, **LEARNS), rows)
    finished(train_here(run))
    judged = evaluate(run, run.checkpoints / "best", run.manifest_file)
    assert judged["metrics"]["exact_match"] >= 0.9
    (answer,) = Predictor(run, run.checkpoints / "best").answer("text", [b"chess for two"])
    assert answer["values"][0] > 0.5 and answer["values"][1] > 0.5


def test_goes_on_from_a_trained_model_with_concepts_added_and_reordered(weights_dir: Path, tmp_path: Path) -> None:
    run = made(tmp_path / "run", small_spec(weights_dir, **LEARNS), examples())
    finished(train_here(run))
    spec = small_spec(weights_dir, epochs=1, learning_rate=1e-5)
    concepts = (spec.concepts[2], spec.concepts[0], replace(spec.concepts[1], id="new"), spec.concepts[1])
    spec = replace(spec, concepts=concepts, resume_from=str(run.checkpoints / "best"))
    more = made(tmp_path / "more", spec, examples())
    finished(train_here(more))
    assert evaluate(more, more.checkpoints / "best", more.manifest_file)["metrics"]["accuracy"] >= 0.9


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_a_damaged_file_of_the_base_model_is_found(weights_dir: Path, tmp_path: Path, name: str) -> None:
    run = made(tmp_path / "run", small_spec(weights_dir), examples())
    (run.assets / name).write_text("{}", encoding="utf-8")
    with pytest.raises(CorruptFile, match=name):
        recipe_for(run.spec())


def test_weights_without_a_tokenizer_are_refused_with_what_to_do(weights_dir: Path, tmp_path: Path) -> None:
    run = prepare(tmp_path / "run", small_spec(weights_dir), examples())
    with pytest.raises(MissingWeights, match=r"config\.json is not there; add the model as the folder"):
        recipe_for(run.spec())


def test_tensors_of_another_network_are_refused(weights_dir: Path, tmp_path: Path) -> None:
    run = made(tmp_path / "run", small_spec(weights_dir), examples())
    config = run.assets / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    spec = replace(run.spec(), assets={})
    run.spec_file.write_text(spec.to_json(), encoding="utf-8")
    (failed,) = [event for event in train_here(run) if isinstance(event, Failed)]
    assert "missing, as encoder.layer.2" in failed.details


def test_bad_E4_a_text_that_is_no_utf8_names_the_byte(weights_dir: Path, tmp_path: Path) -> None:
    run = made(tmp_path / "run", small_spec(weights_dir), examples())
    finished(train_here(run))
    answers = Predictor(run, run.checkpoints / "best").answer("text", [b"caf\xe9", b"chess"])
    assert "byte 0xe9 at 3" in answers[0]["details"] and "values" in answers[1]


def test_bad_E2_a_long_text_is_cut_and_learnt_from(weights_dir: Path, tmp_path: Path) -> None:
    rows = [*examples(), Example("long", "", "train", {"sound": 1}, text="music " * 200_000)]
    run = made(tmp_path / "run", small_spec(weights_dir, epochs=1), rows)
    finished(train_here(run))
    log = run.log_file.read_text(encoding="utf-8")
    assert "1 of 16 texts are longer than the 64 tokens that are read of each: 199938 of " in log
    assert 10 < run.report()["plan"]["padding_percent"] < 60  # one long text among a few short ones


def test_batches_hold_texts_of_like_length_and_each_text_once(weights_dir: Path, tmp_path: Path) -> None:
    rows = [Example(f"{n}", "", "train", {"sound": 1}, text="music " * (n % 50 + 1)) for n in range(400)]
    spec = small_spec(weights_dir)
    run = made(tmp_path / "run", spec, rows)
    recipe = recipe_for(run.spec())
    data = Data(run.manifest_file, run.spec(), recipe, 1)
    sizes = data.sizes("train")
    data.close()
    assert sizes[:3] == [3, 4, 5]
    chunks = training_chunks(400, 32, 0, seed=1, epoch=0, sizes=sizes)
    assert sorted(index for chunk in chunks for index in chunk) == list(range(400))
    padded = sum(max(sizes[i] for i in chunk) * len(chunk) for chunk in chunks)
    assert padded <= 1.1 * sum(sizes)
    lengths = [max(sizes[i] for i in chunk) for chunk in chunks]
    assert lengths != sorted(lengths)  # yet the batches come in random order
    assert training_chunks(400, 32, 0, seed=1, epoch=1, sizes=sizes) != chunks
    assert sorted(i for chunk in chunks_in_order(400, 32, sizes) for i in chunk) == list(range(400))


def test_whoever_is_left_over_after_the_last_batch_is_not_always_the_longest_text() -> None:
    sizes = list(range(1, 17))
    epochs = [training_chunks(16, 5, 0, seed=1, epoch=epoch, sizes=sizes) for epoch in range(12)]
    left_out = [set(range(16)) - {index for chunk in chunks for index in chunk} for chunks in epochs]
    assert all(len(chunks) == 3 and len(one) == 1 for chunks, one in zip(epochs, left_out, strict=True))
    assert len(set.union(*left_out)) > 4


@pytest.mark.parametrize("learn", [False, True])
def test_word_embeddings_learn_where_that_is_asked_for(weights_dir: Path, tmp_path: Path, learn: bool) -> None:
    run = made(tmp_path / "run", small_spec(weights_dir, learn_word_embeddings=learn, **LEARNS), examples())
    finished(train_here(run))
    (before,) = (one for name, one in _weights(folder(weights_dir, WEIGHTS)) if name.endswith("word_embeddings.weight"))
    (after,) = (one for name, one in _weights(run.checkpoints / "best") if name.endswith("word_embeddings.weight"))
    assert torch.equal(before, after) != learn
    assert evaluate(run, run.checkpoints / "best", run.manifest_file)["metrics"]["accuracy"] >= 0.95


def _weights(place: Path) -> list[tuple[str, torch.Tensor]]:
    return list(checkpoint.read_tensors(place / checkpoint.MODEL).items())
