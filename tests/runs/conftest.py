import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from luthier.runs.run import RunConcept, RunFolder, RunSpec

ROOT = Path(__file__).parents[2]
SPEC = RunSpec("r", "visual-classifier", "t", "image_classification", "b", "", {}, {}, (RunConcept("a", "A"),), 0)


@pytest.fixture(autouse=True)
def fake_engine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def playing(tmp_path: Path) -> Callable[..., RunFolder]:
    """`playing(steps, …)` is a run folder whose fake engine does those steps; one list per attempt."""

    def make(*attempts: list[Any]) -> RunFolder:
        run = prepare(tmp_path / "run", SPEC, [Example("1", "", "train")])
        (run.path / "play.json").write_text(json.dumps(attempts))
        return run

    return make
