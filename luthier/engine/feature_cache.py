"""What a frozen backbone says of each example, computed once and kept: the epochs after cost no more than the head.

It serves where only the head is ever trained and training examples are never changed at random. The vectors lie in a
file of the run folder that grows batch by batch, so a run that is cut goes on where it was. Next: `recipe.HasFeatures`.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from luthier.catalog.plan import is_frozen, keeps_features
from luthier.engine import loading
from luthier.engine.backbones import head_of
from luthier.engine.devices import Device
from luthier.engine.recipe import Batch, HasFeatures, Recipe
from luthier.engine.vector_file import VectorFile
from luthier.errors import TrainingFailed
from luthier.runs.run import RunFolder

Log = Callable[[str], None]
Array = np.ndarray[Any, Any]
FOLDER = "features"  # in the run folder, until the training ends
SPLITS = ("train", "val")  # what every epoch goes through
SECONDS_BETWEEN_LINES = 10.0


@dataclass
class FeatureCache:
    """`splits` has a row of numbers for each example of a split, NaN for one that cannot be read."""

    recipe: HasFeatures
    network: nn.Module
    device: Device
    data: loading.Data
    file: VectorFile
    layout: dict[str, torch.Size]  # shape of each tensor of an example
    batch_size: int
    log: Log
    splits: dict[str, Array] = field(default_factory=dict)
    computed: int = 0
    seconds: float = 0.0

    def fill(self) -> Iterator[int]:
        """Goes through all examples that are not in the file yet; yields after each batch how many it has computed."""
        began = told_at = time.monotonic()
        self.network.eval()
        for split in SPLITS:
            count = len(self.data.splits[split])
            rows = np.full((count, self.file.width), np.nan, dtype=np.float32)
            chunks = loading.chunks_in_order(count, self.batch_size, self.data.sizes(split))
            missing = [chunk for chunk in chunks if not self._restored(split, chunk, rows)]
            for chunk, batch in zip(missing, self.data.batches(split, missing), strict=True):
                if batch is not None:
                    self._compute(split, self._readable(split, chunk), batch, rows)
                if time.monotonic() - told_at > SECONDS_BETWEEN_LINES:
                    told_at = time.monotonic()
                    self.log(f"The backbone has seen {self.computed} examples; they are kept for all epochs.")
                yield self.computed
            self.splits[split] = rows
        self.data.forget(SPLITS)
        self.seconds = time.monotonic() - began

    def batches(self, split: str, chunks: Sequence[Sequence[int]]) -> Iterator[Batch | None]:
        """As `loading.Data.batches`, with features in place of examples."""
        for chunk in chunks:
            rows = torch.from_numpy(self.splits[split][chunk])
            rows = rows[~rows.isnan().any(1)]
            cut = torch.split(rows, [shape.numel() for shape in self.layout.values()], dim=1)
            pairs = zip(self.layout.items(), cut, strict=True)
            yield {name: part.view(-1, *shape) for (name, shape), part in pairs} if len(rows) else None

    def _restored(self, split: str, chunk: Sequence[int], rows: Array) -> bool:
        """Lays what the file has of a chunk into `rows`; whether that is all of it. A chunk is computed as a whole, as
        the last digits of a vector may depend on those beside it."""
        found = [self.file.get(_key(split, index)) for index in chunk]
        if any(one is None for one in found):
            return False
        rows[chunk] = np.stack([one for one in found if one is not None])
        return True

    def _readable(self, split: str, chunk: Sequence[int]) -> list[int]:
        rejected = self.data.rejections.rows
        return [index for index in chunk if not rejected or self.data.example(split, index).id not in rejected]

    def _compute(self, split: str, readable: list[int], batch: Batch, rows: Array) -> None:
        found = features_of(self.recipe, self.network, self.device, batch)
        vectors = torch.cat([found[name].flatten(1) for name in self.layout], dim=1).numpy()
        if not np.isfinite(vectors).all():
            raise TrainingFailed("the backbone gives features that are not finite; train with other weights")
        rows[readable] = vectors
        self.file.add([_key(split, index) for index in readable], vectors)
        self.computed += len(readable)


def open_cache(
    run: RunFolder,
    key: str,
    recipe: Recipe,
    network: nn.Module,
    device: Device,
    data: loading.Data,
    batch_size: int,
    log: Log,
) -> FeatureCache | None:
    """None where the backbone learns too, where examples are changed at random, or where the plan wants no cache."""
    plan = recipe.plan
    if not isinstance(recipe, HasFeatures) or not is_frozen(plan):
        return None
    if not keeps_features(plan):
        if getattr(plan, "feature_cache", "off") == "auto":
            log(
                "Note: only the head is trained, and yet the backbone sees every picture in every epoch, as pictures "
                "are changed at random. Set feature_cache to on to leave them as they are and to show it each one once."
            )
        return None
    example = recipe.collate([recipe.example_of(0)])
    layout = {name: tensor.shape[1:] for name, tensor in features_of(recipe, network.eval(), device, example).items()}
    width = sum(shape.numel() for shape in layout.values())
    needed = 4 * width * sum(len(data.splits[split]) for split in SPLITS) / 2**20
    if needed > data.spec.image_cache_mb:
        log(
            f"Note: the backbone's features of all examples take {needed:.0f} MiB, image_cache_mb is "
            f"{data.spec.image_cache_mb}: they are computed anew in every epoch. Raise image_cache_mb to keep them."
        )
        return None
    name = hashlib.sha256(f"{key}/{torch.__version__}/{device.name}/{device.precision}".encode()).hexdigest()[:16]
    file = VectorFile(run.path / FOLDER / f"{name}.vectors", width)
    log("Only the head is trained: what the backbone says of each example is computed once and kept for all epochs.")
    return FeatureCache(recipe, network, device, data, file, layout, batch_size, log)


def remove(run: RunFolder) -> None:
    """Once the training has ended nobody needs them any more."""
    shutil.rmtree(run.path / FOLDER, ignore_errors=True)


@torch.inference_mode()
def features_of(recipe: HasFeatures, network: nn.Module, device: Device, batch: Batch) -> Batch:
    """float32, on the CPU, of a batch that lies there."""
    there = {name: tensor.to(device.torch_device) for name, tensor in batch.items()}
    with device.autocast():
        found = recipe.features(network, there)
    return {name: tensor.float().cpu() for name, tensor in found.items()}


def before_head(network: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    """(B, D): what the head of `network` is given for `inputs`."""
    caught: list[torch.Tensor] = []
    hook = head_of(network).register_forward_pre_hook(lambda head, given: caught.append(given[0]))
    try:
        network(*inputs)
    finally:
        hook.remove()
    return caught[0]


def _key(split: str, index: int) -> bytes:
    return hashlib.sha256(f"{split}/{index}".encode()).digest()
