"""An encoder-decoder, as T5: reads a text and writes its answer. The verbs are those of `decoder`.

A batch, a row per text: "tokens" and "mask", int64 (B, T), what is asked; "answers", int64 (B, A), padded with 0, and
"learned", bool (B, A); "texts", int64 (B, 1), "scale", float (B,), "lost", int64 (B,).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from luthier.engine.adapters import LearnsBeside, Parts
from luthier.engine.generation.decoder import Question, Step
from luthier.engine.generation.tied import leave_out_copies
from luthier.engine.recipe import Batch, Encoded


class EncoderDecoder(LearnsBeside):
    """`model` is a sequence-to-sequence language model of transformers', or one of peft's around it."""

    asks = True
    seen: torch.Tensor

    def __init__(self, model: nn.Module, first_token: int) -> None:
        super().__init__()
        self.model = model
        self.no_head = nn.Identity()
        self.first_token = first_token  # what the decoder is given before the first one it writes
        self.register_buffer("seen", torch.zeros(2, dtype=torch.int64))
        leave_out_copies(self)

    def get_classifier(self) -> nn.Module:
        return self.no_head

    def parts(self) -> Parts:
        return Parts(self.model, "SEQ_2_SEQ_LM")

    @staticmethod
    def collate(encoded: Sequence[Encoded], row_tokens: int) -> Batch:
        """Texts are never packed: `row_tokens` is of no use here."""
        tokens, mask = _padded([one["tokens"] for one in encoded])
        answers, learned = _padded([one["answer"] for one in encoded])
        count = len(encoded)
        return {
            "tokens": tokens,
            "mask": mask.long(),
            "answers": answers,
            "learned": learned,
            "texts": torch.arange(1, count + 1)[:, None],
            "scale": torch.full((count,), count / max(1, int(learned.sum()))),
            "lost": torch.tensor([int(one["lost"].sum()) for one in encoded]),
        }

    def losses(self, batch: Batch, smoothing: float = 0.0) -> torch.Tensor:
        """Of each token of the answers, float (B, A): its cross entropy, 0 for padding."""
        answers, wanted = batch["answers"], batch["learned"]
        before = functional.pad(answers[:, :-1], (1, 0), value=self.first_token)
        logits = self.model(
            input_ids=batch["tokens"], attention_mask=batch["mask"], decoder_input_ids=before, use_cache=False
        ).logits
        losses = torch.zeros(answers.shape, dtype=torch.float32, device=logits.device)
        losses[wanted] = functional.cross_entropy(
            logits[wanted].float(), answers[wanted], reduction="none", label_smoothing=smoothing
        )
        return losses

    def keeps_apart(self) -> bool:
        return False

    @staticmethod
    def questions(batch: Batch) -> Iterator[Question]:
        """Each text and its answer."""
        lengths = batch["mask"].sum(1).tolist(), batch["learned"].sum(1).tolist()
        rows = zip(batch["tokens"].tolist(), batch["answers"].tolist(), *lengths, strict=True)
        for number, (tokens, answer, length, written) in enumerate(rows):
            yield number, tokens[:length], answer[:written]

    def begin(self, prompts: Sequence[Sequence[int]]) -> Step:
        device = next(self.model.parameters()).device
        tokens, mask = _padded([np.array(one) for one in prompts])
        mask = mask.long().to(device)
        encoder: Any = self.model.get_encoder()  # type: ignore[operator]
        read = encoder(input_ids=tokens.to(device), attention_mask=mask)
        first = torch.full((len(prompts),), self.first_token, device=device)
        return self.go_on(first, (read, mask, None))

    def go_on(self, chosen: torch.Tensor, state: Any) -> Step:
        read, mask, cache = state
        output = self.model(
            encoder_outputs=read,
            attention_mask=mask,
            decoder_input_ids=chosen[:, None].to(mask.device),
            past_key_values=cache,
            use_cache=True,
        )
        return output.logits[:, -1].float(), (read, mask, output.past_key_values)


def _padded(texts: Sequence[np.ndarray[Any, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """int64 (B, T), padded with 0 at the right, and bool (B, T), where it is no padding."""
    lengths = torch.tensor([len(one) for one in texts])
    tokens = torch.zeros((len(texts), int(lengths.max())), dtype=torch.int64)
    for row, one in enumerate(texts):
        tokens[row, : len(one)] = torch.from_numpy(one.astype(np.int64))
    return tokens, torch.arange(tokens.shape[1])[None, :] < lengths[:, None]
