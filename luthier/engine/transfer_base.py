"""The embedder under a transfer: used as it is, kept whole in the run folder's base/, each vector made once.

Next: `recipes/embedding_classification`, which learns from the vectors; `vector_file`, which keeps them.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from luthier.engine import checkpoint, loading
from luthier.engine.devices import choose
from luthier.engine.recipe import Batch, Encoded
from luthier.engine.recipes.image_embedding import ImageEmbedding
from luthier.engine.text_embedder import TextEmbedding
from luthier.engine.vector_file import VectorFile
from luthier.errors import InvalidTrainingParams, shown
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec

AT_ONCE = 64  # inputs that are embedded together
Array = np.ndarray[Any, Any]


class Embeds(Protocol):
    """The verbs of a recipe that an embedder needs. `predict` gives "vectors", (B, D), each of length 1."""

    input_kind: str
    varied: bool

    def build(self, *, pretrained: bool) -> nn.Module: ...
    def encode(self, data: bytes, example: Example) -> Encoded: ...
    def example_of(self, number: int) -> Encoded: ...
    def collate(self, encoded: list[Encoded]) -> Batch: ...
    def predict(self, network: nn.Module, batch: Batch) -> Batch: ...


KINDS: dict[str, Callable[[RunSpec], Embeds]] = {"image_embedding": ImageEmbedding, "text_embedding": TextEmbedding}


class TransferBase:
    """`open` it before asking for vectors."""

    def __init__(self, spec: RunSpec) -> None:
        base = RunSpec.from_json(json.dumps(spec.base))
        if base.recipe not in KINDS:
            raise InvalidTrainingParams(f"the base model is a {shown(base.recipe)}; vectors come of {', '.join(KINDS)}")
        base = replace(base, text_preparation=spec.text_preparation)
        self.spec = replace(base, assets=spec.assets, assets_folder=spec.assets_folder)
        self.embeds = KINDS[base.recipe](self.spec)
        self._run = spec
        self._folder = Path(spec.assets_folder).parent / "base"
        self._device = choose(spec.device, spec.threads)
        self._network: nn.Module = nn.Identity()
        self._kept: VectorFile | None = None
        self.width = 0

    def open(self) -> None:
        """Loads the network. Raises MissingWeights, CorruptFile, DiskFull."""
        network = self.embeds.build(pretrained=self._starts_from_weights())
        if not self._run.estimate_only:
            self._load(network)
        self._network = self._device.placed(network).eval()
        self.width = self._made([self.embeds.example_of(0)]).shape[1]
        if not self._run.estimate_only:
            self._kept = VectorFile(Path(self._run.vectors_folder) / f"{self._name()}-{self.width}.vectors", self.width)

    def encode(self, data: bytes, example: Example) -> Encoded:
        """What the embedder reads and a "key", unless the vector is there and pictures need not be decoded any more.

        An input without an id, of a prediction, has an empty key: its vector is not kept.
        """
        key = hashlib.sha256(data).digest() if example.id else b""
        ours = {"key": np.frombuffer(key, dtype=np.uint8)}
        if not self.embeds.varied and self._known(key) is not None:
            return ours
        return {**self.embeds.encode(data, example), **ours}

    def example_of(self, number: int) -> Encoded:
        return {**self.embeds.example_of(number), "key": np.empty(0, dtype=np.uint8)}

    def vectors_of(self, encoded: list[Encoded]) -> Array:
        """float32 (len(encoded), D), each of length 1: those that are known, and those that are made now and kept."""
        keys = [one["key"].tobytes() for one in encoded]
        found = [self._known(key) for key in keys]
        unknown = [row for row, vector in enumerate(found) if vector is None]
        if unknown:
            made = self._made([encoded[row] for row in unknown])
            named = [place for place, row in enumerate(unknown) if keys[row]]
            if self._kept is not None:
                self._kept.add([keys[unknown[place]] for place in named], made[named])
            for row, vector in zip(unknown, made, strict=True):
                found[row] = vector
        return np.stack([vector for vector in found if vector is not None])

    def embed_all(self, data: loading.Data, log: Callable[[str], None]) -> None:
        """Every example of every split once, in batches that depend on the data alone, so that they come out alike."""
        for split, place in data.splits.items():
            chunks = loading.chunks_in_order(len(place), AT_ONCE, data.sizes(split))
            for number, _ in enumerate(data.batches(split, chunks), start=1):
                if number % 50 == 0 or number == len(chunks):
                    log(f"Vectors of {split}: {min(number * AT_ONCE, len(place))} of {len(place)}.")

    def _known(self, key: bytes) -> Array | None:
        return self._kept.get(key) if self._kept is not None and key else None

    @torch.inference_mode()
    def _made(self, encoded: list[Encoded]) -> Array:
        found = []
        for start in range(0, len(encoded), AT_ONCE):
            batch = self.embeds.collate(encoded[start : start + AT_ONCE])
            there = {name: tensor.to(self._device.torch_device) for name, tensor in batch.items()}
            with self._device.autocast():
                found.append(self.embeds.predict(self._network, there)["vectors"].float().cpu().numpy())
        return np.concatenate(found)

    def _starts_from_weights(self) -> bool:
        return not (self._folder.exists() or self.spec.resume_from or self._run.estimate_only)

    def _load(self, network: nn.Module) -> None:
        """What lies in base/; else the weights that the network was built with, or those of a trained embedder."""
        source = self._folder if self._folder.exists() else Path(self.spec.resume_from or self._folder)
        if source.exists():
            checkpoint.verify(source)
            checkpoint.load_exactly(network, checkpoint.read_tensors(source / checkpoint.MODEL))
        if source != self._folder or not self._folder.exists():
            state = {"run": self._run.run, "step": 0, "backbone": self.spec.backbone}
            tensors = {checkpoint.MODEL: network.state_dict()}
            checkpoint.write(self._folder, tensors, state, self._run.disk_reserve_mb)

    def _name(self) -> str:
        """Of the file of vectors: it depends on all that a vector depends on, but for the input."""
        files = json.loads((self._folder / checkpoint.MANIFEST).read_text(encoding="utf-8"))["files"]
        decisive = [files[checkpoint.MODEL], self.spec.recipe, self.spec.plan, sorted(self.spec.assets.items())]
        decisive.append(self.spec.text_preparation)
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]
