"""Texts to texts: a decoder goes on from a prompt, an encoder-decoder answers it. Next: `generation/wording`.

The loss counts answers alone. A batch is what `generation/decoder` or `generation/encoder_decoder` say; one of prompts
has "plain" and "chat", int64 (B, T), the prompt as it stands and as a human's turn, padded with -1, and "options".
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from luthier.catalog.generation import GenerationPlan
from luthier.catalog.weights import require
from luthier.engine import backbones, language_models
from luthier.engine.generation import judging, networks
from luthier.engine.generation.decoder import Decoder
from luthier.engine.generation.encoder_decoder import EncoderDecoder
from luthier.engine.generation.networks import Network
from luthier.engine.generation.wording import Wording
from luthier.engine.generation.writing import Options, written
from luthier.engine.plans import plan_of
from luthier.engine.recipe import Answer, Batch, Encoded
from luthier.engine.recipes.text_classification import text_of
from luthier.errors import InvalidBytes, InvalidTrainingParams
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec

FINISHES = ("end", "stop", "length")
NO_TOKEN = -1


class TextGeneration:
    """The verbs for text generators."""

    input_kind = "text"
    varied = True
    token_fields = ("tokens", "learned", "answer", "lost", "chat")

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.plan = plan_of(GenerationPlan, spec.plan)
        self.concept_ids: list[str] = []
        self.assets = Path(spec.assets_folder)
        language_models.verify(self.assets, spec.assets)
        self.most_tokens = language_models.most_tokens(self.assets, self.plan.adapter)  # 0: as many as one likes
        limit = min(self.plan.max_tokens, self.most_tokens) if self.most_tokens else self.plan.max_tokens
        self.kind: type[Network] = EncoderDecoder if networks.asks(self.assets) else Decoder
        width = min(self.plan.row_tokens, self.most_tokens) if self.most_tokens else self.plan.row_tokens
        self.row_tokens = width if self.plan.packing and not self.kind.asks else 0
        self.wording = Wording(
            self.assets,
            limit,
            asks=self.kind.asks,
            cut_left=self.plan.cut_at == "start",
            sections=self.plan.chat_template == "sections",
        )

    def build(self, *, pretrained: bool) -> Network:
        """With an adapter the base model always comes from the weights folder: no checkpoint has it."""
        tensors = None
        if self.spec.weights and (pretrained or self.plan.adapter):
            file = require(Path(self.spec.weights_folder), self.spec.weights)
            if self.plan.adapter:
                language_models.verify_base(self.assets, file)
            language_models.check_room(file, self.plan.base_precision if self.plan.adapter else "float32")
            tensors = backbones.read_weights(file)
        network = networks.network_of(self.assets, tensors, self.plan, self.spec.device)
        if self.row_tokens and not network.keeps_apart():
            raise InvalidTrainingParams(
                "packing is true, but in this network texts that share a row would see each other; set packing to false"
            )
        return network

    def unusable(self, example: Example) -> str:
        return ""  # a text without an answer is found when it is read

    def concepts_in(self, example: Example) -> Iterable[str]:
        return ()

    def encode(self, data: bytes, example: Example) -> Encoded:
        worded = self.wording.example(text_of(data))
        return {
            "tokens": worded.tokens,
            "learned": worded.learned,
            "answer": worded.answer,
            "lost": np.array([worded.lost]),
            "chat": np.array([worded.chat]),
        }

    def labelled(self, tokens: Encoded, example: Example) -> Encoded:
        """A text's answer stands in it."""
        return tokens

    def tokens_depend_on(self) -> dict[str, Any]:
        plan = {"cut_at": self.plan.cut_at, "chat_template": self.plan.chat_template}
        return {"limit": self.wording.limit, "asks": self.kind.asks, **plan}

    def encode_prompt(self, data: bytes, options: Mapping[str, Any]) -> Encoded:
        """What a trained model is to answer. Raises InvalidBytes for no text, and where no room is left to answer."""
        text = text_of(data)
        forms = {name: self.wording.prompt(text, chat=name == "chat") for name in ("plain", "chat")}
        longest = max(map(len, forms.values()))
        if self.most_tokens and not self.kind.asks and longest >= self.most_tokens:
            raise InvalidBytes(
                f"the prompt has {longest} tokens; this model reads and writes {self.most_tokens} in all: shorten it"
            )
        chosen = np.frombuffer(Options.of(dict(options)).to_bytes(), dtype=np.uint8)
        return {**{name: np.array(ids, dtype=np.int64) for name, ids in forms.items()}, "options": chosen}

    def example_of(self, number: int) -> Encoded:
        length = max(2, self.wording.limit // 2)
        random = np.random.default_rng(number)
        tokens, answer = (random.integers(0, self.wording.vocabulary, length, dtype=np.int32) for _ in range(2))
        learned = np.arange(length) >= length // 2
        return {
            "tokens": tokens,
            "learned": learned,
            "answer": answer if self.kind.asks else answer[:0],
            "lost": np.array([0]),
            "chat": np.array([False]),
        }

    def collate(self, encoded: list[Encoded]) -> Batch:
        if "options" in encoded[0]:
            return {name: _stacked([one[name] for one in encoded]) for name in encoded[0]}
        batch = self.kind.collate(encoded, self.row_tokens)
        chats = sum(int(one["chat"].sum()) for one in encoded)
        seen = torch.zeros((len(batch["scale"]), 2), dtype=torch.int64)  # in the first row: plain texts, chats
        seen[0] = torch.tensor([len(encoded) - chats, chats])
        return {**batch, "seen": seen}

    def examples_in(self, batch: Batch) -> int:
        """A row may hold several texts."""
        return int(batch["texts"].max())

    def weight_of(self, batch: Batch) -> float:
        """How many tokens `loss` is the mean of."""
        return float(batch["learned"].sum())

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    def loss(self, network: Network, batch: Batch) -> torch.Tensor:
        """The mean over the tokens that count, also of a batch computed in parts: "scale" is the whole batch's."""
        network.seen += batch["seen"].sum(0)
        losses = network.losses(batch, self.plan.label_smoothing)
        return (losses.sum(1) * batch["scale"]).mean()

    def predict(self, network: Network, batch: Batch) -> Batch:
        """Of prompts what `_written` gives; else for each text what `judging.judged` gives."""
        if "options" in batch:
            return self._written(network, batch)
        return judging.judged(network, batch, self.wording, answers=self.plan.judge_answers, most=self.most_tokens)

    def _written(self, network: Network, batch: Batch) -> Batch:
        """ "text", UTF-8 bytes padded with -1, "tokens" and "finish", a place in FINISHES: all int64."""
        texts = written(network, self.wording, *self.asked(network, batch), self.most_tokens)
        chat = self.chats(network)
        whole = [text.whole().strip() if chat else text.whole() for text in texts]
        return {
            "text": _stacked([np.frombuffer(text.encode(), dtype=np.uint8) for text in whole]),
            "tokens": torch.tensor([len(text.ids) for text in texts]),
            "finish": torch.tensor([FINISHES.index(text.finish) for text in texts]),
        }

    @staticmethod
    def chats(network: Network) -> bool:
        """Whether most of what it learnt from were conversations: a plain prompt is then a human's turn."""
        return bool(network.seen[1] >= network.seen[0])

    def asked(self, network: Network, batch: Batch) -> tuple[list[list[int]], Options]:
        """The prompts of a batch as tokens, and what is wished for."""
        prompts = _unstacked(batch["chat" if self.chats(network) else "plain"])
        return prompts, Options.from_bytes(bytes(_unstacked(batch["options"])[0]))

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        columns = (_unstacked(predicted["text"]), predicted["tokens"].tolist(), predicted["finish"].tolist())
        return [
            {"text": bytes(text).decode(), "tokens": tokens, "finish": FINISHES[finish]}
            for text, tokens, finish in zip(*columns, strict=True)
        ]

    def judge(self) -> judging.GenerationJudge:
        return judging.GenerationJudge()


def _stacked(rows: Sequence[np.ndarray[Any, Any]]) -> torch.Tensor:
    """int64 (B, T), padded at the right."""
    stacked = torch.full((len(rows), max(1, *map(len, rows))), NO_TOKEN, dtype=torch.int64)
    for place, row in enumerate(rows):
        stacked[place, : len(row)] = torch.from_numpy(row.astype(np.int64))
    return stacked


def _unstacked(stacked: torch.Tensor) -> list[list[int]]:
    return [[one for one in row if one != NO_TOKEN] for row in stacked.tolist()]


RECIPE = TextGeneration
