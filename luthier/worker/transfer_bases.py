"""The embedder that a transfer learns from, as `RunSpec.base` has it. Next: `runs/run`, `engine/transfer_base`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from luthier.catalog.embedders import Embedder
from luthier.errors import InvalidTrainingParams, shown
from luthier.runs.run import RunFolder, RunSpec

TRAINED_KIND = "visual-embedder"  # the model type whose versions can be the base of a transfer


def pretrained(embedder: Embedder, weights_folder: Path) -> dict[str, Any]:
    """One of the catalog's, from the weights folder."""
    spec = RunSpec(
        run="",
        model_type="",
        template="",
        recipe=embedder.recipe,
        backbone=embedder.backbone,
        weights=embedder.weights,
        hyperparameters={},
        plan=asdict(embedder.plan),
        concepts=(),
        seed=0,
        weights_folder=str(weights_folder.absolute()),
    )
    return asdict(spec)


def trained(run: RunFolder, checkpoint: str) -> dict[str, Any]:
    """The embedder that a run has trained; raises InvalidTrainingParams where it trained something else."""
    spec = run.spec()
    if spec.model_type != TRAINED_KIND:
        raise InvalidTrainingParams(
            f"base_embed_model is {shown(spec.run)}, a {spec.model_type} trained with {spec.template}; name a trained "
            f"{TRAINED_KIND}, or leave it out"
        )
    source = str((run.path / checkpoint).absolute())
    return asdict(replace(spec, resume_from=source, weights="", assets={}, assets_folder="", vectors_folder=""))


def of_transfer(run: RunFolder) -> dict[str, Any]:
    """The one below an earlier transfer, whose head is to be learnt on: only its vectors mean the same."""
    return {**run.spec().base, "resume_from": str(run.base.absolute())}
