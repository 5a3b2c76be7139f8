"""An incremental training says what it forgot, and forgets less where old data is mixed in. On real digits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.data.replay import with_replay
from luthier.engine.anomaly.judge import AnomalyJudge
from luthier.engine.evaluate import Judged
from luthier.engine.forgetting import SCORES, compare
from luthier.engine.recipe import Scores
from luthier.errors import CorruptFile
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder
from tests.engine.runs import Pictures, examples_of, finished, make_run, spec_of, train_here

NEW = {"num_epochs": 4, "learning_rate": 0.003}


def _first(digits: Pictures, folder: Path) -> RunFolder:
    """A model that has seen only the digits 0 to 4, though it has a place for all ten."""
    small = [one for one in digits if one[0] < "5"][:400]
    run = make_run(folder / "first", small, spec_of("first", given={"num_epochs": 6}))
    finished(train_here(run))
    return run


def _second(digits: Pictures, first: RunFolder, folder: Path, percent: float) -> dict[str, Any]:
    """The report on forgetting after learning 5 to 9."""
    large = [one for one in digits if one[0] >= "5"][:300]
    others = [replace(one, id=f"new-{one.id}", blob=f"f{one.blob[1:]}") for one in examples_of(folder / "new", large)]
    spec = spec_of("second", given=NEW, resume_from=str(first.checkpoints / "best"), replay_percent=percent)
    mixed = with_replay(others, first.manifest_file, percent, spec.seed, lambda example: True)
    run = prepare(folder / "second", spec, mixed)
    finished(train_here(run))
    report: dict[str, Any] = run.report()["forgetting"]
    assert ("before" in run.log_file.read_text()) and (report["remedy"] in run.log_file.read_text())
    return report


def test_what_was_forgotten_is_told_and_replay_is_the_remedy(digits: Pictures, tmp_path: Path) -> None:
    first = _first(digits, tmp_path)
    bare = _second(digits, first, tmp_path / "bare", 0)
    rows = {row["id"]: row for row in bare["per_concept"]}
    assert bare["parent"] == "first" and bare["examples"] == 40
    assert bare["before"]["accuracy"] > 0.9 > bare["after"]["accuracy"]
    assert any(rows[str(digit)]["before"] - rows[str(digit)]["after"] > 0.1 for digit in range(5))
    assert "Set replay_percent" in bare["remedy"]
    replayed = _second(digits, first, tmp_path / "replayed", 50)
    assert replayed["after"]["accuracy"] > bare["after"]["accuracy"] + 0.1


def test_what_was_trained_on_since_is_not_asked(digits: Pictures, tmp_path: Path) -> None:
    """The same pictures in other splits: only those that the second training has not learnt from judge it."""
    pictures = digits[:100]
    first = make_run(tmp_path / "first", pictures, spec_of("first", given={"num_epochs": 1}))
    finished(train_here(first))
    spec = spec_of("second", given={"num_epochs": 1}, resume_from=str(first.checkpoints / "best"))
    moved = ("test", *("train",) * 18, "val")  # half of those that tested the first train the second
    second = make_run(tmp_path / "second", pictures, spec, splits=moved)
    finished(train_here(second))
    report = second.report().get("forgetting")
    tested = {number for number in range(100) if number % 10 == 9}
    learnt = {number for number in range(100) if moved[number % 20] == "train"}
    assert report is not None and report["examples"] == len(tested - learnt) > 0


def test_a_trained_model_is_not_lost_where_the_parent_is_gone(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_run(tmp_path / "first", digits[:100], spec_of("first", given={"num_epochs": 1}))
    finished(train_here(first))
    spec = spec_of("second", given={"num_epochs": 1}, resume_from=str(first.checkpoints / "best"))

    def deleted(*_: Any) -> None:
        raise CorruptFile("the checkpoint holds no manifest.json")

    monkeypatch.setattr("luthier.engine.forgetting.load_served", deleted)
    second = make_run(tmp_path / "second", digits[100:200], spec)
    finished(train_here(second))
    assert "forgetting" not in second.report()
    assert "forgot anything is unknown: the checkpoint holds no manifest.json" in second.log_file.read_text()


@pytest.mark.parametrize("score", SCORES)
def test_each_family_has_a_score_by_which_a_concept_is_compared(score: str) -> None:
    before, after = (Judged(Scores({}, [{"id": "a", score: value}], ()), 9, 0.1) for value in (0.9, 0.5))
    report = compare("first", before, after, 0)
    assert report.per_concept == [{"id": "a", "before": 0.9, "after": 0.5}] and "Fell: a." in report.remedy


def test_of_an_anomaly_it_is_the_auroc() -> None:
    judge = AnomalyJudge(["good", "scratch"], [1])
    masks = torch.zeros(2, 4, 4, dtype=torch.uint8)
    judge.add(
        {"scores": torch.tensor([0.1, 0.9]), "values": torch.tensor([0.1, 0.9]), "maps": torch.rand(2, 4, 4)},
        {"anomalous": torch.tensor([0, 1]), "carries": torch.tensor([[1, 0], [0, 1]]), "masks": masks},
    )
    judged = Judged(judge.scores(), 2, 0.1)
    assert compare("first", judged, judged, 0).per_concept == [{"id": "scratch", "before": 1.0, "after": 1.0}]
