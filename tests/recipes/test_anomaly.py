"""Every visual-anomaly-heatmap template: trained on good pictures, judged, served, stopped and gone on from."""

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from luthier.catalog.model_type import find_template, templates_of
from luthier.catalog.template import Template
from luthier.engine import checkpoint
from luthier.engine.devices import choose
from luthier.engine.evaluate import evaluate
from luthier.engine.journal import Journal
from luthier.engine.predict import Predictor
from luthier.engine.process import StopRequest
from luthier.engine.recipe import recipe_for
from luthier.engine.session import build_network, open_session
from luthier.engine.train import fit
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from luthier.runs.run import RunConcept, RunFolder, RunSpec
from tests.engine.runs import failed, finished, hashes_of_weights, spec_of, train_here
from tests.recipes.surfaces import (
    CONCEPTS,
    HEIGHT,
    SCRATCH,
    WIDTH,
    good_examples,
    scratched,
    scratched_examples,
)

TYPE = "visual-anomaly-heatmap"
TEMPLATES = templates_of(TYPE)
TINY = find_template(TYPE, "luthier_tiny_patchcore")
SPLITS = ("train",) * 8 + ("val",) * 2 + ("test",) * 2


def small_spec(template: Template, concepts: tuple[str, ...] = CONCEPTS, **plan: Any) -> RunSpec:
    quick = {"image_size": 64, "batch_size": 4, "epochs": 1, "warmup_steps": 0, "smoothing": 1.0}
    body = {} if template is TINY else {"body": "timm/resnet10t", "strides": (4, 8), "alike": False}
    given = {"pretrained_weights": "None"}
    return spec_of("run", template.id, given, concepts, {**quick, **body, **plan}, model_type=TYPE)


def pictures(folder: Path) -> list[Example]:
    return good_examples(folder, SPLITS) + scratched_examples(folder, ("val", "val", "test", "test"))


def log_of(run: RunFolder) -> str:
    return run.log_file.read_text() if run.log_file.exists() else ""


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_trained_judged_served_and_gone_on_from(template: Template, tmp_path: Path) -> None:
    found = pictures(tmp_path / "pictures")
    spec = small_spec(template)
    run = prepare(tmp_path / "run", spec, found)
    event = finished(train_here(run))
    assert event.step == 2
    assert {"image_auroc", "pixel_auroc", "pro", "f1"} <= event.metrics.keys()
    assert all(0 <= event.metrics[name] <= 1 for name in ("image_auroc", "pixel_auroc", "pro", "f1"))
    assert [row["id"] for row in run.report()["per_concept"]] == [SCRATCH]

    best = run.checkpoints / "best"
    assert evaluate(run, best, run.manifest_file)["examples"] == 16
    outputs = Predictor(run, best).answer("image", [Path(found[0].path).read_bytes(), b"junk"])
    assert "error" in outputs[1]
    assert sum(outputs[0]["values"]) == pytest.approx(1)
    heat = Image.open(io.BytesIO(base64.b64decode(outputs[0]["heatmap"])))
    assert (heat.format, heat.mode, heat.size) == ("PNG", "L", (WIDTH, HEIGHT))

    new = RunConcept("new", "new")
    other = RunSpec(**{**vars(spec), "resume_from": str(best), "concepts": (new, *reversed(spec.concepts))})
    network = build_network(recipe_for(other), other, choose("cpu", 1), print)
    old = checkpoint.read_tensors(best / checkpoint.MODEL)
    assert old.keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, old[name]) for name, tensor in network.state_dict().items())
    again = prepare(tmp_path / "again", other, found)
    finished(train_here(again))
    if "memory" in old:
        grown = checkpoint.read_tensors(again.checkpoints / "best" / checkpoint.MODEL)["memory"]
        assert len(grown) > len(old["memory"]) > 0
    shutil.rmtree(run.path)  # what was gone on from may be deleted: the child is whole by itself
    (answer,) = Predictor(again, again.checkpoints / "best").answer("image", [Path(found[0].path).read_bytes()])
    assert "heatmap" in answer


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_trains_where_the_body_computes_in_bfloat16(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luthier.engine.devices.cpu_has_bfloat16", lambda: True)
    run = prepare(tmp_path / "run", small_spec(template), pictures(tmp_path / "pictures"))
    metrics = finished(train_here(run)).metrics
    assert run.report()["precision"] == "bfloat16"
    assert all(0 <= metrics[name] <= 1 for name in ("image_auroc", "pixel_auroc", "pro", "f1"))


@pytest.mark.parametrize(
    ("template", "plan"),
    [
        (TINY, {"coreset_ratio": 0.1}),
        (find_template(TYPE, "Anomalib_PatchCore"), {"body": "luthier/filter_bank", "strides": (4,), "alike": True}),
        (
            find_template(TYPE, "luthier_reverse_distillation"),
            {
                "epochs": 40,
                "batch_size": 16,
                "learning_rate": 5e-3,
                "body": "luthier/filter_bank",
                "strides": (4,),
                "alike": True,
            },
        ),
    ],
    ids=lambda one: getattr(one, "id", ""),
)
def test_tells_scratches_from_the_16_surfaces_it_has_seen(
    template: Template, plan: dict[str, Any], tmp_path: Path
) -> None:
    found = good_examples(tmp_path, ("train",) * 16) + scratched_examples(tmp_path, ("test",) * 16)
    run = prepare(tmp_path / "run", small_spec(template, **plan), found)
    finished(train_here(run))
    metrics = evaluate(run, run.checkpoints / "best", run.manifest_file)["metrics"]
    assert metrics["image_auroc"] >= 0.95 and metrics["pixel_auroc"] >= 0.9


def test_good_pictures_alone_are_enough_and_the_log_says_how_the_threshold_was_chosen(tmp_path: Path) -> None:
    run = prepare(tmp_path / "run", small_spec(TINY, ("tiles",)), good_examples(tmp_path, SPLITS, tiles=1))
    event = finished(train_here(run))
    assert "image_auroc" not in event.metrics and event.metrics["good_score"] > 0
    assert "no anomalies are labelled there, so it is the quantile 0.99 of 2 good ones" in log_of(run)
    strange = scratched_examples(tmp_path, ("test",) * 8)
    files = [Path(example.path).read_bytes() for example in strange]
    answers = Predictor(run, run.checkpoints / "best").answer("image", files)
    assert sum(answer["values"][0] < 0.5 for answer in answers) >= 7  # few tiles look like this


def test_labelled_anomalies_choose_the_threshold(tmp_path: Path) -> None:
    found = good_examples(tmp_path, ("train",) * 8 + ("val",) * 8) + scratched_examples(tmp_path, ("val",) * 8)
    run = prepare(tmp_path / "run", small_spec(TINY), found)
    finished(train_here(run))
    assert "it tells 8 good ones from 8 anomalous ones best (F1 1.000)" in log_of(run)
    predictor = Predictor(run, run.checkpoints / "best")
    for example in found[8:]:
        (answer,) = predictor.answer("image", [Path(example.path).read_bytes()])
        good, scratch = answer["values"]
        assert (scratch > 0.5) == (SCRATCH in example.labels) and good == pytest.approx(1 - scratch)


def test_the_heatmap_is_hot_where_the_scratch_is(tmp_path: Path) -> None:
    found = good_examples(tmp_path, ("train",) * 8 + ("val",) * 4) + scratched_examples(tmp_path, ("test",) * 4)
    run = prepare(tmp_path / "run", small_spec(TINY), found)
    finished(train_here(run))
    predictor = Predictor(run, run.checkpoints / "best")
    generator = np.random.default_rng([0, 1])
    for example in found[12:]:
        mask = scratched(generator)[1]
        (answer,) = predictor.answer("image", [Path(example.path).read_bytes()])
        heat = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["heatmap"]))))
        assert heat[mask].mean() > 2 * heat[~mask].mean()


def test_anomalies_in_the_train_split_are_left_out_and_listed(tmp_path: Path) -> None:
    found = good_examples(tmp_path, ("train",) * 4) + scratched_examples(tmp_path, ("train",))
    unlabelled = Example("unlabelled", "", "train", path=found[0].path)
    run = prepare(tmp_path / "run", small_spec(TINY), [*found, unlabelled])
    finished(train_here(run))
    reasons = {row["id"]: row["reason"] for row in run.report()["skipped"]}
    assert "only good pictures are learnt from" in reasons["scratch-0-0"]
    assert "no label says whether it is good" in reasons["unlabelled"]
    assert "these have been learnt, so it may be too low" in log_of(run)


def test_without_a_good_picture_nothing_is_trained(tmp_path: Path) -> None:
    run = prepare(tmp_path / "run", small_spec(TINY), scratched_examples(tmp_path, ("train",) * 4))
    assert "it shows an anomaly" in failed(train_here(run)).details


@pytest.mark.parametrize("steps", [1, 3])
def test_a_look_that_was_stopped_goes_on_with_the_same_bytes(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luthier.engine.train.SECONDS_BETWEEN_STEPS_TOLD", 0.0)
    found = good_examples(tmp_path / "pictures", ("train",) * 16 + ("val",) * 2)
    quiet = prepare(tmp_path / "quiet", small_spec(TINY), found)
    finished(train_here(quiet))
    run = prepare(tmp_path / "run", small_spec(TINY), found)
    journal = Journal(run, echo=False)
    stop = StopRequest(journal)
    session = open_session(run, journal.log)
    for event in fit(session, stop):
        journal.event(event)
        stop.requested = stop.requested or session.progress.step >= steps
    session.data.close()
    assert session.progress.step == steps
    finished(train_here(run))
    assert hashes_of_weights(run) == hashes_of_weights(quiet)


def test_more_patches_than_are_kept_are_thinned_out_by_lot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("luthier.engine.anomaly.patchcore.MOST_SEEN", 500)  # of 8 pictures with 256 each
    run = prepare(tmp_path / "run", small_spec(TINY), good_examples(tmp_path, SPLITS))
    finished(train_here(run))
    assert "of which a share of 0.25 was kept" in log_of(run) or "of which a share of 0.125 was kept" in log_of(run)
