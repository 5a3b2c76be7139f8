"""A frozen backbone is asked once for each picture, whatever happens on the way, and the result is what it was."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.catalog.plan import UNCHANGED, EmbeddingPlan, ImagePlan, Plan
from luthier.engine import backbones, checkpoint
from luthier.engine.feature_cache import before_head
from luthier.engine.journal import Journal
from luthier.engine.process import StopRequest
from luthier.engine.recipes.image_classification import ImageClassification
from luthier.engine.recipes.image_embedding import ImageEmbedding
from luthier.engine.train import train
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import Pictures, finished, hashes_of_weights, make_run, spec_of, train_here

HEAD = {"trainable_layers": "head", **UNCHANGED}


def head_only(name: str, epochs: int = 3, plan: dict[str, Any] | None = None, **changes: Any) -> RunSpec:
    given = {"num_epochs": epochs, "batch_size": 16}
    return spec_of(name, given=given, plan={**HEAD, **(plan or {})}, **changes)


def seen_by(recipe: type, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures the backbone is shown, batch by batch."""
    shown: list[int] = []
    honest = ImageClassification.normalised

    def counted(self: Any, images: torch.Tensor) -> torch.Tensor:
        shown.append(len(images))
        return honest(self, images)

    monkeypatch.setattr(ImageClassification, "normalised", counted)
    return shown


def best_of(run: RunFolder) -> dict[str, torch.Tensor]:
    return checkpoint.read_tensors(run.checkpoints / "best" / checkpoint.MODEL)


@pytest.mark.parametrize(
    "plan", [{}, {"mutually_exclusive": False, "average_flips": True, "class_weights": "balanced"}]
)
def test_the_backbone_sees_each_picture_once_and_the_head_learns_the_same(
    plan: dict[str, Any], digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make_run(tmp_path / "plain", digits[:100], head_only("a", plan={**plan, "feature_cache": "off"}))
    before = finished(train_here(plain))
    shown = seen_by(ImageClassification, monkeypatch)
    run = make_run(tmp_path / "run", digits[:100], head_only("a", plan=plan))
    after = finished(train_here(run))
    judged = 10 * (1 + plan.get("average_flips", False))
    assert sum(shown) == 1 + 90 + judged, "an example of the shape, train and validation once, the test at the end"
    assert before.metrics == pytest.approx(after.metrics, abs=1e-3)
    for name, tensor in best_of(plain).items():
        assert torch.allclose(tensor.float(), best_of(run)[name].float(), atol=1e-4), name
    assert run.report()["feature_cache"]["examples"] == 90
    assert not (run.path / "features").exists()
    assert after.steady_seconds_per_step == 0, "no measure of what a step of the template costs"
    assert "computed once and kept for all epochs" in run.log_file.read_text()


def test_the_embedder_learns_its_head_from_features_too(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = {"template": "Clarifai_ResNet_AngularMargin", "model_type": "visual-embedder", "weights": ""}
    plan = {**HEAD, "epochs": 3, "batch_size": 16, "image_size": 32, "embedding_size": 16}
    shown = seen_by(ImageEmbedding, monkeypatch)
    run = make_run(tmp_path / "run", digits[:60], spec_of("a", plan=plan, backbone="luthier/tiny_resnet", **template))
    assert "recall_at_1" in finished(train_here(run)).metrics
    assert sum(shown) == 1 + 60


def test_a_run_that_is_cut_on_the_way_goes_on_with_what_it_has(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = make_run(tmp_path / "quiet", digits[:100], head_only("a"))
    finished(train_here(quiet))
    shown = seen_by(ImageClassification, monkeypatch)
    run = make_run(tmp_path / "run", digits[:100], head_only("a"))
    journal = Journal(run, echo=False)
    stop = StopRequest(journal)
    stop.requested = True
    train(run, journal, stop, time.monotonic())
    assert sum(shown) == 1 + 16 and (run.path / "features").exists()
    shown.clear()
    finished(train_here(run))
    assert sum(shown) == 1 + 84
    assert hashes_of_weights(run) == hashes_of_weights(quiet)


def test_damaged_features_are_computed_anew(digits: Pictures, tmp_path: Path) -> None:
    quiet = make_run(tmp_path / "quiet", digits[:100], head_only("a"))
    finished(train_here(quiet))
    run = make_run(tmp_path / "run", digits[:100], head_only("a"))
    journal = Journal(run, echo=False)
    stop = StopRequest(journal)
    stop.requested = True
    train(run, journal, stop, time.monotonic())
    (file,) = (run.path / "features").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data[:-3])
    finished(train_here(run))
    assert hashes_of_weights(run) == hashes_of_weights(quiet)


def test_pictures_that_cannot_be_read_are_skipped_and_listed(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:100], head_only("a", invalid_data_tolerance_percent=5.0))
    broken = sorted((tmp_path / "run-pictures").iterdir())[3:5]
    for file in broken:
        file.write_bytes(file.read_bytes()[:40])
    finished(train_here(run))
    assert sorted(row["id"] for row in run.report()["skipped"]) == ["input-3", "input-4"]
    assert run.report()["feature_cache"]["examples"] == 88


def test_pictures_that_are_changed_at_random_cannot_be_seen_once(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:40], head_only("a", epochs=1, plan={"rotate_degrees": 5.0}))
    finished(train_here(run))
    assert run.report()["feature_cache"] == {}
    assert "Set feature_cache to on to leave them as they are" in run.log_file.read_text()


def test_features_that_take_more_memory_than_allowed_are_not_kept(digits: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits[:40], head_only("a", epochs=1, image_cache_mb=0))
    finished(train_here(run))
    assert run.report()["feature_cache"] == {}
    assert "image_cache_mb is 0: they are computed anew in every epoch" in run.log_file.read_text()


@pytest.mark.parametrize(
    "name",
    [
        "luthier/tiny_resnet",
        "luthier/cifar10_cnn",
        "luthier/bn_inception",
        "timm/test_resnet",
        "timm/test_vit",
        "timm/test_convnext",
        "timm/test_efficientnet",
    ],
)
def test_what_the_head_makes_of_features_is_what_the_network_says(name: str) -> None:
    network = backbones.create(name, 5, 160).eval()
    pictures = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        assert torch.equal(backbones.head_of(network)(before_head(network, pictures)), network(pictures))


def test_every_random_change_of_pictures_is_known_to_the_cache() -> None:
    """Whoever adds a field to the plan says here whether it changes training pictures."""
    still = {"image_size", "resize", "mutually_exclusive", "head_hidden_layers", "head_hidden_width", "dropout"}
    still |= {"class_weights", "feature_cache", "normalize_embedding", "average_flips", "flip_direction"}
    still |= {"stochastic_depth", "mean", "std", "embedding_size", "scale", "prediction_size"}
    still |= {"margin", "margin_epochs", *Plan.__dataclass_fields__}
    unknown = {*EmbeddingPlan.__dataclass_fields__, *ImagePlan.__dataclass_fields__} - still - {*UNCHANGED}
    assert not unknown
