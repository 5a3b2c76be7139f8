"""One table: every template that trains x two steps, in bfloat16 too, evaluate, predict, resume, go on from it with
other concepts.

The networks are small ones of the same parts, all in this process. That each recipe learns 16 examples by heart stands
in the files of the families. Next: `families`, which says how a tiny training of each recipe is made.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from luthier.catalog.model_type import all_templates
from luthier.catalog.template import Template
from luthier.engine import backbones, checkpoint, devices
from luthier.engine.devices import choose
from luthier.engine.evaluate import evaluate
from luthier.engine.journal import Journal
from luthier.engine.predict import Predictor
from luthier.engine.process import StopRequest
from luthier.engine.recipe import recipe_for, recipe_names
from luthier.engine.session import build_network
from luthier.engine.train import train
from luthier.runs.events import Stopped
from luthier.runs.run import RunConcept, RunFolder, RunSpec
from tests.engine.runs import events_of, finished, hashes_of_weights, train_here
from tests.recipes import families
from tests.recipes.families import FAMILIES, Family

TEMPLATES = [one for one in all_templates() if one.recipe in FAMILIES]
ELSEWHERE = {  # recipes whose own files have these columns, as what they learn from is of another kind
    "anomaly_heatmap": "test_anomaly.py",
    "embedding_classification": "test_embedding_classifiers.py",
    "embedding_clustering": "test_embedding_classifiers.py",
    "text_generation": "test_text_generators.py",
}


@dataclass(frozen=True)
class Trained:
    template: Template
    family: Family
    spec: RunSpec
    run: RunFolder

    @property
    def best(self) -> Path:
        return self.run.checkpoints / "best"


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    families.tiny_weights(root, [one for one in TEMPLATES if one.recipe == "text_classification"])
    return root


@pytest.fixture(scope="module", autouse=True)
def _narrow_detectors() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        families.narrow_detectors(patch)
        yield


@pytest.fixture(scope="module", params=TEMPLATES, ids=lambda one: f"{one.model_type}-{one.id}")
def trained(request: pytest.FixtureRequest, weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    template: Template = request.param
    spec = families.tiny_spec(template, weights_dir)
    run = families.tiny_run(tmp_path_factory.mktemp("trained") / "run", spec)
    train_here(run)
    return Trained(template, FAMILIES[template.recipe], run.spec(), run)


def test_no_template_is_left_out() -> None:
    assert {one.recipe for one in all_templates()} <= FAMILIES.keys() | ELSEWHERE.keys()
    assert set(recipe_names()) == FAMILIES.keys() | ELSEWHERE.keys()
    assert all((Path(__file__).parent / name).exists() for name in ELSEWHERE.values())


def test_two_steps(trained: Trained) -> None:
    event = finished(events_of(trained.run))
    assert event.step == 2
    assert trained.family.metric in event.metrics
    assert all(0 <= value <= 1 for name, value in event.metrics.items() if name != "loss")
    assert all(math.isfinite(value) for value in event.metrics.values())


def test_two_steps_in_bfloat16(trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As processors that multiply it compute; the others do so slowly, which is enough for two steps."""
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)
    event = finished(train_here(families.tiny_run(tmp_path / "run", trained.spec)))
    assert event.step == 2
    assert all(math.isfinite(value) for value in event.metrics.values())


def test_evaluate(trained: Trained) -> None:
    judged = evaluate(trained.run, trained.best, trained.run.manifest_file)
    assert judged["examples"] == len(trained.run.manifest_file.read_text(encoding="utf-8").splitlines())
    assert [row["id"] for row in judged["per_concept"]] == list(trained.family.concepts)


def test_predict(trained: Trained) -> None:
    """Good inputs get answers of the family's form, bad bytes an error, one beside the other."""
    found = trained.family.examples(trained.run.path.parent / "asked")[:2]
    kind = recipe_for(trained.spec).input_kind
    given = [*(families.bytes_of(one) for one in found), b"\xff\xfe junk"]
    *good, bad = Predictor(trained.run, trained.best).answer(kind, given)
    assert [trained.family.answer in one for one in good] == [True, True]
    assert sorted(bad) == ["details", "error"]
    assert json.loads(json.dumps(good, allow_nan=False)) == good
    for one in good:
        values = [region["value"] for region in one.get("regions", [])]
        assert values == sorted(values, reverse=True) and all(0 <= value <= 1 for value in values)
        for left, top, right, bottom in (region["box"] for region in one.get("regions", []) if "box" in region):
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def test_resume(trained: Trained, tmp_path: Path) -> None:
    """A training that was stopped after its first step ends with the bytes of the one that was not."""
    run = families.tiny_run(tmp_path / "run", trained.spec)
    journal = Journal(run, echo=False)
    stop = StopRequest(journal)
    stop.requested = True
    train(run, journal, stop, time.monotonic())
    last = events_of(run)[-1]
    assert isinstance(last, Stopped) and last.step == 1
    assert finished(train_here(run)).step == 2
    assert hashes_of_weights(run) == hashes_of_weights(trained.run)


def test_incremental_with_concepts_added_removed_and_reordered(trained: Trained, tmp_path: Path) -> None:
    """All but the first concept stay, in another place: their rows come along, and so does all that is not the head."""
    first, *kept = trained.spec.concepts
    concepts = (*reversed(kept), RunConcept("new", "new"))
    spec = replace(trained.spec, concepts=concepts, resume_from=str(trained.best), assets={}, assets_folder="")
    run = families.tiny_run(tmp_path / "run", spec)
    network = build_network(recipe_for(run.spec()), run.spec(), choose("cpu", 1), print)
    old = checkpoint.read_tensors(trained.best / checkpoint.MODEL)
    here, there = (backbones.concept_rows(network, len(one)) for one in (concepts, trained.spec.concepts))
    assert here and first not in concepts
    new = {name: tensor for name, tensor in network.state_dict().items() if name in old}
    for name in new.keys() - here.keys():
        assert torch.equal(new[name], old[name]), name
    for name in here.keys() & new.keys():
        for place, concept in enumerate(concepts[:-1]):
            was = trained.spec.concepts.index(concept)
            assert torch.equal(new[name][here[name].of_concept[place]], old[name][there[name].of_concept[was]]), name
    event = finished(train_here(run))
    assert all(math.isfinite(value) for value in event.metrics.values())
