"""Texts to concepts: one concept each (softmax) or any number (a sigmoid each). Next: `language_models`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from luthier.catalog.text_plan import TextPlan
from luthier.catalog.weights import require
from luthier.engine import adapters, backbones, classification, language_models
from luthier.engine.adapters import LearnsBeside, Parts
from luthier.engine.classification import ClassificationJudge
from luthier.engine.feature_cache import before_head
from luthier.engine.heads import Head
from luthier.engine.plans import plan_of
from luthier.engine.prepared_texts import prepare
from luthier.engine.recipe import Answer, Batch, Encoded
from luthier.errors import InvalidBytes, InvalidTrainingParams
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec

BYTE_ORDER_MARK = "\ufeff"


class TextNetwork(LearnsBeside):
    """A language model's body, its last hidden states pooled to one vector per text, and a head.

    `last`: the vector is that of the last token; the head is then without a bias, as that of transformers' decoders.
    `learns_words`: whether the table of word embeddings learns with the rest of the body.
    """

    def __init__(self, body: nn.Module, head: nn.Linear, *, last: bool, learns_words: bool) -> None:
        super().__init__()
        self.body = body
        self.last = last
        self.learns_words = learns_words
        self.head = head
        if last:
            self.head.register_parameter("bias", None)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (B, C) of token ids and their mask, both int64 (B, T); padding stands at the end and is 0 in it."""
        hidden = self.body(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        hidden = hidden[:, -tokens.shape[1] :]  # an adapter may put tokens of its own before the text's
        return self.head(self._pooled(hidden, mask))  # type: ignore[no-any-return]

    def freeze(self) -> None:
        super().freeze()
        if not self.learns_words:
            self.body.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]

    def parts(self) -> Parts:
        head = {name: tensor.detach() for name, tensor in self.head.state_dict().items()}
        return Parts(self.body, "SEQ_CLS" if self.last else adapters.FEATURES, head)

    def _pooled(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.last:
            return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
        weights = mask.unsqueeze(-1).float()
        return (hidden * weights).sum(1) / weights.sum(1)


class TextClassification:
    """The verbs for text classifiers.

    A batch: "tokens" and "mask", int64 (B, T), "targets", float (B, C), and "lost", int64 (B), tokens cut off.
    """

    input_kind = "text"
    varied = True
    token_fields = ("tokens", "lost")

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.plan = plan_of(TextPlan, spec.plan)
        self.concept_ids = [concept.id for concept in spec.concepts]
        self.weights: torch.Tensor | None = None
        self.prepared = prepare(spec.text_preparation)
        self.assets = Path(spec.assets_folder)
        language_models.verify(self.assets, spec.assets)
        longest = language_models.most_tokens(self.assets, self.plan.adapter)
        self.limit = min(self.plan.max_tokens, longest) if longest else self.plan.max_tokens
        self.tokenizer = language_models.Tokenizer(self.assets, self.limit, self.plan.cut_at)

    def build(self, *, pretrained: bool) -> nn.Module:
        """With an adapter the base model always comes from the weights folder: no checkpoint has it."""
        config, adapter = language_models.config_of(self.assets), self.plan.adapter
        if config.is_encoder_decoder:
            raise InvalidTrainingParams(
                f"the base model is a {config.model_type}, which answers texts; name an encoder or a decoder"
            )
        precision = self.plan.base_precision if adapter else "float32"
        tensors = None
        if self.spec.weights and (pretrained or adapter):
            file = require(Path(self.spec.weights_folder), self.spec.weights)
            if adapter:
                language_models.verify_base(self.assets, file)
            language_models.check_room(file, precision)
            tensors = backbones.read_weights(file)
        more = language_models.quantised(self.plan.base_quantization if adapter else {}, precision, self.spec.device)
        body = language_models.body_of(config, tensors, precision, more)
        if adapter:
            body = adapters.adapted(body, adapter, adapters.FEATURES)
        last = {"last": True, "mean": False}.get(self.plan.pooling, language_models.is_decoder(config))
        width, classes, plan = config.get_text_config().hidden_size, len(self.concept_ids), self.plan
        head = Head(width, classes, plan.head_hidden_layers, plan.head_hidden_width, plan.dropout)
        network = TextNetwork(body, head, last=last, learns_words=plan.learn_word_embeddings)
        if adapter:
            network.leave_out_what_is_frozen()
        return network

    def unusable(self, example: Example) -> str:
        return classification.unusable(example, self.concept_ids, exclusive=self.plan.mutually_exclusive)

    def concepts_in(self, example: Example) -> Iterable[str]:
        return classification.concepts_in(example)

    def encode(self, data: bytes, example: Example) -> Encoded:
        tokens, lost = self.tokenizer.encode(self.prepared(text_of(data)))
        return self.labelled({"tokens": tokens, "lost": np.array([lost])}, example)

    def labelled(self, tokens: Encoded, example: Example) -> Encoded:
        return {**tokens, "target": classification.target_of(example, self.concept_ids)}

    def tokens_depend_on(self) -> dict[str, Any]:
        return {"limit": self.limit, "cut_at": self.plan.cut_at, "text_preparation": self.spec.text_preparation}

    def example_of(self, number: int) -> Encoded:
        concepts, length = len(self.concept_ids), max(1, self.limit // 2)
        tokens = np.random.default_rng(number).integers(0, self.tokenizer.vocabulary, length, dtype=np.int32)
        return {"tokens": tokens, "target": np.eye(concepts, dtype=np.uint8)[number % concepts], "lost": np.array([0])}

    def collate(self, encoded: list[Encoded]) -> Batch:
        longest = max(len(one["tokens"]) for one in encoded)
        tokens: np.ndarray[Any, Any] = np.zeros((len(encoded), longest), dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, one in enumerate(encoded):
            tokens[row, : len(one["tokens"])] = one["tokens"]
            mask[row, : len(one["tokens"])] = 1
        targets = torch.from_numpy(np.stack([one["target"] for one in encoded])).float()
        lost = torch.from_numpy(np.concatenate([one["lost"] for one in encoded]))
        return {"tokens": torch.from_numpy(tokens), "mask": torch.from_numpy(mask), "targets": targets, "lost": lost}

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        targets = classification.smoothed(
            batch["targets"], self.plan.label_smoothing, exclusive=self.plan.mutually_exclusive
        )
        return {**batch, "targets": targets}

    def features(self, network: nn.Module, batch: Batch) -> Batch:
        """ "features", (B, D), in place of "tokens" and "mask"."""
        return {"features": before_head(network, batch["tokens"], batch["mask"]), "targets": batch["targets"]}

    def weigh(self, positives: Mapping[str, int], examples: int) -> None:
        if self.plan.class_weights == "balanced":
            exclusive = self.plan.mutually_exclusive
            self.weights = classification.balanced(positives, examples, self.concept_ids, exclusive=exclusive)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        exclusive = self.plan.mutually_exclusive
        return classification.loss(_logits(network, batch), batch["targets"], exclusive=exclusive, weights=self.weights)

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """ "values": probabilities, (B, C)."""
        logits = _logits(network, batch)
        return {"values": classification.probabilities(logits, exclusive=self.plan.mutually_exclusive)}

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        return [{"values": values} for values in predicted["values"].tolist()]

    def judge(self) -> ClassificationJudge:
        return ClassificationJudge(self.concept_ids, exclusive=self.plan.mutually_exclusive)


def _logits(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Of texts, or of what a frozen body said of them."""
    if "features" in batch:
        of_features: torch.Tensor = backbones.head_of(network)(batch["features"])
        return of_features.float()
    logits: torch.Tensor = network(batch["tokens"], batch["mask"])
    return logits.float()


def text_of(data: bytes) -> str:
    """UTF-8 without its byte order mark; raises InvalidBytes that names the first bad byte."""
    try:
        return data.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise InvalidBytes(
            f"the text is not UTF-8: byte {data[error.start]:#04x} at {error.start}; save it as UTF-8"
        ) from None


RECIPE = TextClassification
