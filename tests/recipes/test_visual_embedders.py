"""Visual embedders: both heads learn 16 digits by heart; how retrieval is judged. Next: `test_every_template`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from luthier.catalog.model_type import find_template, templates_of
from luthier.catalog.template import Template
from luthier.engine import checkpoint
from luthier.engine.embedder import Embedder, VectorNorm
from luthier.engine.predict import Predictor
from luthier.engine.recipe import Paces, recipe_for
from luthier.engine.retrieval import RetrievalJudge
from luthier.runs.run import RunSpec
from tests.engine.runs import Pictures, finished, make_run, spec_of, train_here

TEMPLATES = templates_of("visual-embedder")
SMALL = {"timm/resnet101": "timm/resnet10t", "timm/resnext50_32x4d": "timm/resnet10t"}
LABELS = ("3", "5")
MARGIN = "Clarifai_ResNet_AngularMargin"


@pytest.fixture(scope="module")
def pair(digits: Pictures) -> Pictures:
    kinds = [[one for one in digits if one[0] == label] for label in LABELS]
    return [picture for pictures in zip(*kinds, strict=False) for picture in pictures][:16]


def small_spec(template: Template, **plan: Any) -> RunSpec:
    quick = {"image_size": 32, "batch_size": 4, "epochs": 1, "warmup_steps": 0}
    if template.plan_for(template.defaults()).margin:  # type: ignore[attr-defined]
        quick["embedding_size"] = 16
    return spec_of(
        "run", template.id, {"pretrained_weights": "None"}, LABELS, {**quick, **plan}, model_type="visual-embedder",
        backbone=SMALL.get(template.backbone, template.backbone),
    )  # fmt: skip


def test_vectors_have_length_one(pair: Pictures, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", pair, small_spec(TEMPLATES[-1], mutually_exclusive=True), splits=("train",))
    finished(train_here(run))
    outputs = Predictor(run, run.checkpoints / "best").answer("image", [data for _, data in pair[:3]])
    assert [np.linalg.norm(one["embedding"]) for one in outputs] == pytest.approx([1, 1, 1], abs=1e-4)


def test_a_batch_of_one_is_levelled_by_what_was_seen_before(pair: Pictures, tmp_path: Path) -> None:
    spec = small_spec(find_template("visual-embedder", MARGIN), batch_size=1, image_size=64, mutually_exclusive=True)
    run = make_run(tmp_path / "run", pair[:3], spec, splits=("train",))
    assert finished(train_here(run)).step == 3
    norm = VectorNorm(4).train()
    norm(torch.tensor([[0.0], [2.0]]).expand(2, 4))  # moves the mean from 0 to 0.1, the variance from 1 to 1.1
    torch.testing.assert_close(norm(torch.full((1, 4), 1.1)), torch.full((1, 4), 1 / 1.1**0.5))


def test_angles_are_measured_in_float32_where_the_body_computes_in_bfloat16() -> None:
    network = recipe_for(small_spec(find_template("visual-embedder", MARGIN))).build(pretrained=False).eval()
    assert isinstance(network, Embedder)
    features = torch.randn(5, network.head["project"][0].in_features)  # type: ignore[index]
    with torch.autocast("cpu", torch.bfloat16):
        vectors, logits = network.vectors(features), network.logits(features)
    ways = functional.normalize(network.head["concepts"].weight, dim=1)  # type: ignore[arg-type]
    torch.testing.assert_close(logits, network.scale * vectors @ ways.T, atol=1e-3, rtol=0)


def test_the_margin_of_a_network_from_random_weights_grows_over_half_of_the_epochs() -> None:
    template = find_template("visual-embedder", MARGIN)
    assert template.plan_for(template.defaults()).margin_epochs == 0  # type: ignore[attr-defined]
    plan = template.plan_for(template.checked({"pretrained_weights": "None", "num_epochs": 8}))
    assert "the margin grows from 0 to angular_margin 0.5 over the first 4 epochs" in plan.notes[-1]

    recipe = recipe_for(replace(small_spec(template), plan={**asdict(plan), "image_size": 32, "embedding_size": 16}))
    assert isinstance(recipe, Paces)
    network = recipe.build(pretrained=False).eval()
    batch = recipe.collate([recipe.example_of(number) for number in range(4)])
    losses = []
    for epoch in (0, 2, 4, 7):
        recipe.begin_epoch(network, epoch)
        losses.append(recipe.loss(network, batch).item())
    assert losses[0] < losses[1] < losses[2] == losses[3]


@pytest.mark.parametrize("name", [MARGIN, "Clarifai_ResNext"])
def test_overfits_16_digits(name: str, pair: Pictures, tmp_path: Path) -> None:
    plan = {
        "epochs": 16, "batch_size": 16, "optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.0,
        "schedule": "constant", "flip_probability": 0.0, "crop_scale_min": 1.0, "scale": 16.0,
        "mutually_exclusive": True,
    }  # fmt: skip
    spec = small_spec(find_template("visual-embedder", name), **plan)
    run = make_run(tmp_path / "run", pair, spec, splits=("train",))
    finished(train_here(run))
    recipe = recipe_for(spec)
    network = recipe.build(pretrained=False)
    network.load_state_dict(checkpoint.read_tensors(run.checkpoints / "best" / checkpoint.MODEL))
    batch = recipe.collate([recipe.encode(data, _labelled(label)) for label, data in pair])
    judge = recipe.judge()
    with torch.no_grad():
        judge.add(recipe.predict(network.train(), batch), batch)
    assert judge.scores().metrics["recall_at_1"] >= 0.95


def _labelled(label: str) -> Any:
    from luthier.runs.manifest import Example

    return Example("", "", "train", {label: 1})


def test_retrieval_figures_of_a_case_by_hand() -> None:
    """Four vectors on a line: a at 0 and 1, b at 1.5 and 9; nearest by the product of vectors of length 1."""
    angles = np.radians([0, 10, 18, 90])
    vectors = torch.tensor(np.stack([np.cos(angles), np.sin(angles)], 1))
    targets = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]])
    judge = RetrievalJudge(["a", "b"])
    judge.add({"vectors": vectors}, {"targets": targets})
    metrics = judge.scores().metrics
    # 0 -> 10 right; 10 -> 18 wrong; 18 -> 10 wrong; 90 -> 18 right
    assert metrics["recall_at_1"] == pytest.approx(0.5)
    assert metrics["recall_at_5"] == 1.0
    assert metrics["map_at_r"] == pytest.approx(0.5)


def test_one_example_of_a_concept_does_not_ask() -> None:
    judge = RetrievalJudge(["a", "b"])
    judge.add({"vectors": torch.eye(2)}, {"targets": torch.eye(2)})
    assert judge.scores().metrics == {}
