"""Checkpoint + manifest -> report. `python -m luthier.engine.evaluate RUN CHECKPOINT MANIFEST OUT.json`.

`judge` is what training uses for its validation and test splits too. Next: `metrics`.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from luthier.engine import checkpoint, loading, token_files
from luthier.engine.devices import Device, choose
from luthier.engine.feature_cache import FeatureCache
from luthier.engine.recipe import Batch, Judge, Recipe, Scores, examples_in, recipe_for
from luthier.engine.session import Session
from luthier.errors import InvalidRequest, LuthierError, TrainingFailed
from luthier.runs.manifest import SPLITS
from luthier.runs.run import RunFolder, RunSpec

NOT_FINITE = (
    "the network gives values that are not finite (NaN or infinity) for this data; train with a smaller learning rate, "
    "or with larger batches or pictures"
)


@dataclass(frozen=True)
class Judged:
    scores: Scores
    examples: int
    seconds: float


def judge(session: Session, split: str) -> Judged:
    """The served network on one split."""
    recipe, network, source = session.recipe, session.served, session.source(split)
    judged = judge_split(recipe, network, session.device, session.data, split, session.micro_batch, source)
    session.timings.validation += judged.seconds
    return judged


def judge_split(
    recipe: Recipe,
    network: nn.Module,
    device: Device,
    data: loading.Data,
    split: str,
    batch_size: int,
    source: loading.Data | FeatureCache | None = None,
) -> Judged:
    """`source`: where the batches come from, if not from `data`."""
    began = time.monotonic()
    chunks = loading.chunks_in_order(len(data.splits[split]), batch_size, data.sizes(split))
    judged = recipe.judge()
    examples = show_all(judged, recipe, network, device, (source or data).batches(split, chunks))
    return Judged(judged.scores(), examples, time.monotonic() - began)


def show_all(judge: Judge, recipe: Recipe, network: nn.Module, device: Device, batches: Iterable[Batch | None]) -> int:
    """Shows the judge what the network says of every example that can be read; returns how many those were.

    Raises TrainingFailed where the network gives values that are not finite: no metric would be true of it.
    """
    network.eval()
    examples = 0
    for batch in batches:
        if batch is not None:
            predicted = predict_batch(recipe, network, device, batch)
            if not all_finite(predicted):
                raise TrainingFailed(NOT_FINITE)
            judge.add(predicted, batch)
            examples += examples_in(recipe, batch)
    return examples


def look(session: Session, split: str) -> Iterator[tuple[Batch, Batch]]:
    """What the served network says of each batch of a split, and the batch; both on the CPU."""
    began = time.monotonic()
    session.served.eval()
    chunks = loading.chunks_in_order(len(session.data.splits[split]), session.batch_size, session.data.sizes(split))
    for batch in session.data.batches(split, chunks):
        if batch is not None:
            yield predict_batch(session.recipe, session.served, session.device, batch), batch
    session.timings.validation += time.monotonic() - began


@torch.inference_mode()
def predict_batch(recipe: Recipe, network: nn.Module, device: Device, batch: Batch) -> Batch:
    """The prediction of a batch that lies on the CPU, as tensors on the CPU."""
    there = {name: tensor.to(device.torch_device) for name, tensor in batch.items()}
    with device.autocast():
        predicted = recipe.predict(network, there)
    return {name: tensor.cpu() for name, tensor in predicted.items()}


def all_finite(tensors: Batch) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def load_served(spec: RunSpec, folder: Path, device: Device) -> tuple[Recipe, nn.Module]:
    """The recipe and the network of a checkpoint, ready to predict; raises CorruptFile for a damaged one."""
    checkpoint.verify(folder)
    recipe = recipe_for(spec)
    network = device.placed(recipe.build(pretrained=False))
    checkpoint.load_exactly(network, checkpoint.read_tensors(folder / checkpoint.MODEL))
    return recipe, network.eval()


def evaluate(run: RunFolder, folder: Path, manifest: Path) -> dict[str, Any]:
    """Judges a checkpoint on every usable example of a manifest, whatever its split."""
    spec = run.spec()
    device = choose(spec.device, spec.threads)
    recipe, network = load_served(spec, folder, device)
    data = loading.Data(manifest, spec, recipe, device.threads, token_files.open_files(spec, recipe, print))
    try:
        data.merge_splits()
        judged = judge_split(recipe, network, device, data, SPLITS[0], recipe.plan.batch_size)
    finally:
        data.close()
    if not judged.examples:
        raise InvalidRequest(f"none of the {data.rejections.total} examples has a label that this model knows")
    scores = judged.scores
    return {
        "metrics": scores.metrics,
        "per_concept": scores.per_concept,
        "confusion": scores.confusion,
        "concepts": [asdict(concept) for concept in spec.concepts],
        "examples": judged.examples,
        "skipped": [{"id": row.id, "reason": row.reason} for row in data.rejections.rows.values()],
        "seconds": judged.seconds,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Judge a checkpoint on a manifest.")
    for name in ("run", "checkpoint", "manifest", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    try:
        report = evaluate(RunFolder(given.run), given.checkpoint, given.manifest)
    except LuthierError as error:
        report = {"failed": str(error), "code": error.code}
    given.out.write_text(json.dumps(report, ensure_ascii=False), encoding="utf-8")
    return 1 if "failed" in report else 0


if __name__ == "__main__":
    sys.exit(main())
