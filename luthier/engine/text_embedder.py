"""Texts to vectors of length 1 by a language model as it is. Next: `transfer_base`, which asks it.

The vector is the mean of the last hidden states (Reimers and Gurevych 2019, "Sentence-BERT").
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from luthier.catalog.text_plan import TextPlan
from luthier.catalog.weights import require
from luthier.engine import backbones, language_models
from luthier.engine.plans import plan_of
from luthier.engine.prepared_texts import prepare
from luthier.engine.recipe import Batch, Encoded
from luthier.engine.recipes.text_classification import text_of
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec


class TextEmbedding:
    """A batch: "tokens" and "mask", int64 (B, T)."""

    input_kind = "text"
    varied = True

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.plan = plan_of(TextPlan, spec.plan)
        self.prepared = prepare(spec.text_preparation)
        self.assets = Path(spec.assets_folder)
        language_models.verify(self.assets, spec.assets)
        longest = language_models.most_tokens(self.assets)
        self.limit = min(self.plan.max_tokens, longest) if longest else self.plan.max_tokens
        self.tokenizer = language_models.Tokenizer(self.assets, self.limit)

    def build(self, *, pretrained: bool) -> nn.Module:
        tensors = None
        if pretrained and self.spec.weights:
            tensors = backbones.read_weights(require(Path(self.spec.weights_folder), self.spec.weights))
        return language_models.body_of(language_models.config_of(self.assets), tensors)

    def encode(self, data: bytes, example: Example) -> Encoded:
        tokens, lost = self.tokenizer.encode(self.prepared(text_of(data)))
        return {"tokens": tokens, "lost": np.array([lost])}

    def example_of(self, number: int) -> Encoded:
        length = max(1, self.limit // 4)
        tokens = np.random.default_rng(number).integers(0, self.tokenizer.vocabulary, length, dtype=np.int32)
        return {"tokens": tokens, "lost": np.array([0])}

    def collate(self, encoded: list[Encoded]) -> Batch:
        longest = max(len(one["tokens"]) for one in encoded)
        tokens: np.ndarray[Any, Any] = np.zeros((len(encoded), longest), dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, one in enumerate(encoded):
            tokens[row, : len(one["tokens"])] = one["tokens"]
            mask[row, : len(one["tokens"])] = 1
        return {"tokens": torch.from_numpy(tokens), "mask": torch.from_numpy(mask)}

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """ "vectors": (B, D), each of length 1."""
        mask = batch["mask"]
        hidden = network(input_ids=batch["tokens"], attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).float()
        return {"vectors": functional.normalize((hidden * weights).sum(1), dim=1)}
