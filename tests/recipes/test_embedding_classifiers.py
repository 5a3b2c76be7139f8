"""Heads on vectors of an embedder that stays as it is: trained, judged, served, cut short, gone on with; each vector
made once."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luthier.catalog.model_type import find_template
from luthier.catalog.weights import folder
from luthier.engine import kmeans
from luthier.engine.evaluate import evaluate
from luthier.engine.predict import Predictor
from luthier.engine.recipe import Batch
from luthier.engine.text_embedder import TextEmbedding
from luthier.engine.vector_file import VectorFile
from luthier.errors import CorruptFile, MissingWeights
from luthier.runs.events import Failed, Started
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder, RunSpec
from luthier.worker import transfer_bases
from tests.engine.runs import (
    Pictures,
    events_of,
    finished,
    hashes_of_weights,
    make_run,
    spec_of,
    stop_here,
    train_here,
)
from tests.recipes.test_text_classifiers import CONCEPTS, SUBJECTS, examples
from tests.recipes.tiny_language_models import tiny_encoder

TYPE = "embedding-classifier"
TEXTS = find_template(TYPE, "luthier_text_transfer")
assert TEXTS.embedder is not None
WEIGHTS = TEXTS.embedder.weights


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    tiny_encoder(folder(root, WEIGHTS), [text for texts in SUBJECTS.values() for text in texts])
    return root


def small_spec(weights_dir: Path, given: dict[str, Any] | None = None, **changes: Any) -> RunSpec:
    assert TEXTS.embedder is not None
    base = transfer_bases.pretrained(TEXTS.embedder, weights_dir)
    free = {"regularization": 0.0}  # the vectors of a random encoder lie close together
    values = {"concepts_mutually_exclusive": True, "batch_size": 8, "num_epochs": 40, **free, **(given or {})}
    spec = spec_of("run", TEXTS.id, given=values, concepts=CONCEPTS, model_type=TYPE, base=base)
    return replace(spec, **{"weights_folder": str(weights_dir), **changes})


def made(path: Path, spec: RunSpec, weights_dir: Path, splits: tuple[str, ...] = ("train",) * 5) -> RunFolder:
    place = folder(weights_dir, WEIGHTS)
    return prepare(path, spec, examples(splits), [place / "config.json", place / "tokenizer.json"])


@pytest.mark.parametrize("given", [{}, {"head_hidden_layers": 1, "head_hidden_width": 32}], ids=["linear", "hidden"])
def test_learns_fifteen_texts_and_needs_nothing_but_its_run_folder(
    weights_dir: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    run = made(tmp_path / "run", small_spec(weights_dir, given), weights_dir)
    events = train_here(run)
    finished(events)
    started = next(event for event in events if isinstance(event, Started))
    assert started.parameters < 5_000  # the head alone is trained and saved with each checkpoint
    moved = RunFolder(run.path.rename(tmp_path / "moved"))
    moved.spec_file.write_text(replace(moved.spec(), weights_folder="/nowhere").to_json(), encoding="utf-8")

    judged = evaluate(moved, moved.checkpoints / "best", moved.manifest_file)
    assert judged["metrics"]["accuracy"] >= 0.95
    texts = [texts[0].encode() for texts in SUBJECTS.values()]
    values = [one["values"] for one in Predictor(moved, moved.checkpoints / "best").answer("text", texts)]
    assert [max(CONCEPTS, key=lambda one: row[CONCEPTS.index(one)]) for row in values] == list(CONCEPTS)


def test_a_second_training_computes_no_vector_again(
    weights_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[int] = []
    predict = TextEmbedding.predict

    def counted(self: TextEmbedding, network: torch.nn.Module, batch: Batch) -> Batch:
        embedded.append(len(batch["mask"]))
        return predict(self, network, batch)

    monkeypatch.setattr(TextEmbedding, "predict", counted)
    spec = small_spec(weights_dir, {"num_epochs": 2}, vectors_folder=str(tmp_path / "vectors"))
    splits = ("train", "train", "train", "val", "test")
    finished(train_here(made(tmp_path / "first", spec, weights_dir, splits)))
    assert sum(embedded) == 15 + 1  # and the made-up one that tells how long a vector is
    embedded.clear()
    again = made(tmp_path / "second", spec, weights_dir, splits)
    finished(train_here(again))
    assert sum(embedded) == 1
    Predictor(again, again.checkpoints / "best").answer("text", [b"not kept"])
    assert len(list((tmp_path / "vectors").iterdir())) == 1


def test_goes_on_where_it_was_cut_with_the_same_bytes(weights_dir: Path, tmp_path: Path) -> None:
    spec = small_spec(weights_dir, {"num_epochs": 4})
    whole = made(tmp_path / "whole", spec, weights_dir)
    finished(train_here(whole))
    cut = made(tmp_path / "cut", spec, weights_dir)
    assert stop_here(cut) == 1
    finished(train_here(cut))
    assert [event.step for event in events_of(cut) if isinstance(event, Started)] == [0, 1]
    assert hashes_of_weights(cut) == hashes_of_weights(whole)


def test_goes_on_from_a_trained_head_with_concepts_added_and_reordered(weights_dir: Path, tmp_path: Path) -> None:
    run = made(tmp_path / "run", small_spec(weights_dir, {"num_epochs": 20}), weights_dir)
    finished(train_here(run))
    spec = small_spec(weights_dir, {"num_epochs": 1, "learning_rate": 1e-5}, weights_folder="/nowhere")
    concepts = (spec.concepts[2], spec.concepts[0], replace(spec.concepts[1], id="new"), spec.concepts[1])
    best = str(run.checkpoints / "best")
    spec = replace(spec, concepts=concepts, resume_from=best, base=transfer_bases.of_transfer(run))
    more = made(tmp_path / "more", spec, weights_dir)
    finished(train_here(more))
    assert evaluate(more, more.checkpoints / "best", more.manifest_file)["metrics"]["accuracy"] >= 0.9


def test_independent_concepts_get_a_sigmoid_each(weights_dir: Path, tmp_path: Path) -> None:
    spec = small_spec(
        weights_dir, {"num_epochs": 20, "concepts_mutually_exclusive": False, "enrich_dataset": "Automatic"}
    )
    run = made(tmp_path / "run", spec, weights_dir)
    finished(train_here(run))
    (answer,) = Predictor(run, run.checkpoints / "best").answer("text", [b"chess for two"])
    assert answer["values"][1] > 0.5 > max(answer["values"][0], answer["values"][2])
    assert "Luthier brings no ready-made negative examples" in run.log_file.read_text(encoding="utf-8")


def test_pictures_on_the_vectors_of_an_embedder_that_was_trained(digits: Pictures, tmp_path: Path) -> None:
    labels = ("3", "5")
    pictures = [one for one in digits if one[0] in labels][:24]
    embedder_spec = spec_of(
        "embedder", "Clarifai_ResNext", {"pretrained_weights": "None"}, labels, backbone="luthier/tiny_resnet",
        plan={"image_size": 32, "batch_size": 8, "epochs": 1}, model_type="visual-embedder",
    )  # fmt: skip
    embedder = make_run(tmp_path / "embedder", pictures, embedder_spec)
    finished(train_here(embedder))

    base = transfer_bases.trained(embedder, "checkpoints/best")
    given = {"base_embed_model": "embedder", "concepts_mutually_exclusive": True, "num_epochs": 60, "regularization": 0}
    spec = spec_of("run", "luthier_image_transfer", given=given, concepts=labels, model_type=TYPE, base=base)
    run = make_run(tmp_path / "run", pictures, spec, splits=("train",))
    finished(train_here(run))
    embedder.path.rename(tmp_path / "gone")
    assert evaluate(run, run.checkpoints / "best", run.manifest_file)["metrics"]["accuracy"] >= 0.9
    answers = Predictor(run, run.checkpoints / "best").answer("image", [pictures[0][1], b"no picture"])
    assert "values" in answers[0] and "error" in answers[1]


def test_weights_that_are_not_there_are_named(weights_dir: Path, tmp_path: Path) -> None:
    assert TEXTS.embedder is not None
    base = transfer_bases.pretrained(TEXTS.embedder, tmp_path / "empty")
    run = made(tmp_path / "run", small_spec(weights_dir, base=base), weights_dir)
    (failed,) = [event for event in train_here(run) if isinstance(event, Failed)]
    assert f"luthier weights pull {WEIGHTS}" in failed.details and failed.code == MissingWeights.code


def test_a_damaged_embedder_is_found(weights_dir: Path, tmp_path: Path) -> None:
    run = made(tmp_path / "run", small_spec(weights_dir, {"num_epochs": 1}), weights_dir)
    finished(train_here(run))
    with (run.base / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\x00\x00\x80\x3f")
    with pytest.raises(CorruptFile, match="has changed since it was written"):
        Predictor(run, run.checkpoints / "best")


def test_vectors_are_found_again_but_for_damaged_and_cut_off_ones(tmp_path: Path) -> None:
    file = tmp_path / "some.vectors"
    keys = [bytes([number]) * 32 for number in range(4)]
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    VectorFile(file, 3).add(keys[:3], vectors[:3])
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data + b"cut off")
    kept = VectorFile(file, 3)
    kept.add(keys[2:], vectors[2:])
    kept.add(keys, vectors)  # nothing of it is new
    again = VectorFile(file, 3)
    found = [again.get(key) for key in keys]
    assert np.array_equal(np.stack([vector for vector in found if vector is not None]), vectors)
    assert file.stat().st_size == 6 * (32 + 4 + 12)  # the damaged and the cut one lie there dead
    assert again.get(b"\xff" * 32) is None


def test_k_means_finds_the_groups_and_keeps_none_that_is_empty() -> None:
    generator = torch.Generator().manual_seed(1)
    middles = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    vectors = torch.cat([middle + torch.randn(50, 2, generator=generator) * 0.5 for middle in middles])
    found = kmeans.fit(vectors, 3, generator)
    assert sorted(found.counts.tolist()) == [50, 50, 50]
    assert found.distance == pytest.approx(0.5, rel=0.2)  # of two coordinates of variance 0.25
    assert len(kmeans.fit(torch.ones(7, 2), 3, generator).centres) == 1


def test_texts_are_grouped_without_labels(weights_dir: Path, tmp_path: Path) -> None:
    template = find_template("clusterer", "luthier_text_clusters")
    assert template.embedder is not None
    base = transfer_bases.pretrained(template.embedder, weights_dir)
    spec = spec_of("run", template.id, {"num_clusters": 4}, (), model_type="clusterer", base=base)
    place = folder(weights_dir, WEIGHTS)
    rows = [replace(row, labels={}) for row in examples(("train", "train", "train", "val", "test"))]
    run = prepare(tmp_path / "run", spec, rows, [place / "config.json", place / "tokenizer.json"])
    event = finished(train_here(run))
    assert 0 <= event.metrics["distance"] <= 2 and -1 <= event.metrics["silhouette"] <= 1
    texts = [row.text.encode() for row in rows if row.split == "train"]
    answers = [one["clusters"][0] for one in Predictor(run, run.checkpoints / "best").answer("text", texts)]
    ids = [one["id"] for one in answers]
    assert {one["id"]: one["count"] for one in answers} == Counter(ids) and len(set(ids)) == 4
    assert all(0.0 <= one["value"] <= 1.0 for one in answers)
