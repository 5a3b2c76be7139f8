"""Every recipe trains in parts of a step: batches added up, memory that runs out, blocks computed twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.catalog.model_type import find_template
from luthier.engine.accumulation import size_of
from luthier.engine.recipe import recipe_for
from tests.engine.runs import finished, train_here
from tests.recipes import families

TEMPLATES = [
    ("visual-classifier", "luthier_tiny_resnet"),
    ("visual-embedder", "Clarifai_ResNet_AngularMargin"),
    ("visual-segmenter", "MMSegmentation_SegFormer"),
    ("visual-detector", "luthier_tiny_detector"),
    ("visual-detector", "MMDetection_FasterRCNN"),
    ("visual-detector", "luthier_rtdetrv2_r18"),
    ("text-classifier", "luthier_minilm"),
]


@pytest.fixture(autouse=True)
def _narrow_detectors() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        families.narrow_detectors(patch)
        yield


@pytest.mark.parametrize(("model_type", "name"), TEMPLATES)
def test_P12_steps_in_parts(model_type: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = find_template(model_type, name)
    families.tiny_weights(tmp_path / "weights", [template] if model_type == "text-classifier" else [])
    spec = families.tiny_spec(template, tmp_path / "weights")
    spec.plan.update(batch_size=4, accumulate=2, gradient_checkpointing=True, balanced_sampling=True)
    run = families.tiny_run(tmp_path / "run", spec)
    kind: Any = type(recipe_for(run.spec()))
    honest = kind.loss

    def loss(self: Any, network: Any, batch: Any) -> torch.Tensor:
        if size_of(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return honest(self, network, batch)

    monkeypatch.setattr(kind, "loss", loss)
    finished(train_here(run))
    plan, log = run.report()["plan"], run.log_file.read_text()
    assert (plan["batch_size"], plan["step_size"], plan["micro_batch"]) == (4, 8, 2)
    assert "blocks are computed twice" in log
    assert log.count("Out of memory at step 1 with 4 examples at once") == 1
