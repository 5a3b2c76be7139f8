"""A decoder: goes on from a text, token by token. Next: `encoder_decoder`, which has the same verbs.

A batch, one row for one text or for several side by side (`packing`): "tokens", "positions" and "texts", int64 (R, W),
"learned", bool (R, W), "scale", float (R,), and "lost", int64 (R,), tokens that were cut off.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from luthier.engine.adapters import LearnsBeside, Parts
from luthier.engine.generation.packing import packed, padded
from luthier.engine.generation.tied import leave_out_copies
from luthier.engine.recipe import Batch, Encoded

Question = tuple[int, list[int], list[int]]  # number of a text from 0, its prompt and the answer that is wanted
Step = tuple[torch.Tensor, Any]  # logits of the next token, float (B, V), and what to go on with


class Decoder(LearnsBeside):
    """`model` is a causal language model of transformers', or one of peft's around it; `takes`: what it can be given.

    `soft`: it puts tokens of its own before every text, and is then asked for whole texts, each alone.
    `seen` counts examples learnt from: plain texts, chats.
    """

    asks = False
    seen: torch.Tensor

    def __init__(self, model: nn.Module, takes: Collection[str], soft: bool) -> None:
        super().__init__()
        self.model = model
        self.no_head = nn.Identity()
        self.register_buffer("seen", torch.zeros(2, dtype=torch.int64))
        self.takes = takes if not soft else ()
        self.soft = soft
        self.spelt_out = False
        leave_out_copies(self)

    def parts(self) -> Parts:
        return Parts(self.model, "CAUSAL_LM")

    def get_classifier(self) -> nn.Module:
        """Nothing maps to concepts: what was learnt before is carried over as it is."""
        return self.no_head

    # -- learning ------------------------------------------------------------------------------------------------------

    @staticmethod
    def collate(encoded: Sequence[Encoded], row_tokens: int) -> Batch:
        """`row_tokens`: about how many a row holds, 0 for a row per text."""
        tokens, learned = [one["tokens"] for one in encoded], [one["learned"] for one in encoded]
        rows = packed(tokens, learned, row_tokens) if row_tokens else padded(tokens, learned)
        count = len(rows.tokens)
        share = count / max(1, int(rows.learned.sum()))
        batch = {name: torch.from_numpy(getattr(rows, name)) for name in ("tokens", "positions", "texts", "learned")}
        lost = torch.zeros(count, dtype=torch.int64)
        lost[0] = int(sum(one["lost"].sum() for one in encoded))
        return {**batch, "scale": torch.full((count,), share), "lost": lost}

    def losses(self, batch: Batch, smoothing: float = 0.0) -> torch.Tensor:
        """Of each token, float (R, W): its cross entropy, 0 for those that do not count."""
        wanted = batch["learned"][:, 1:]
        logits = self.model(**self._arguments(batch), use_cache=False).logits
        logits = logits[:, -batch["tokens"].shape[1] : -1]  # without those of soft prompts
        found = functional.cross_entropy(
            logits[wanted].float(), batch["tokens"][:, 1:][wanted], reduction="none", label_smoothing=smoothing
        )
        losses = torch.zeros(batch["tokens"].shape, dtype=torch.float32, device=found.device)
        losses[:, 1:][wanted] = found
        return losses

    def _arguments(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Positions say where a text begins; a network that knows none sees rows of one text each, and a mask."""
        if "position_ids" in self.takes:
            mask = {"attention_mask": self._blocks(batch)} if self.spelt_out else {}
            return {"input_ids": batch["tokens"], "position_ids": batch["positions"], **mask}
        return {"input_ids": batch["tokens"], "attention_mask": (batch["texts"] > 0).long()}

    def _blocks(self, batch: Batch) -> torch.Tensor:
        """(R, 1, W, W): who sees whom, as the model's attention wants it; padding sees itself."""
        texts, width = batch["texts"], batch["texts"].shape[1]
        before = torch.ones((width, width), dtype=torch.bool, device=texts.device).tril()
        seen = (texts[:, None, :, None] == texts[:, None, None, :]) & before
        config: Any = self.model.config
        if config._attn_implementation == "sdpa":
            return seen
        return torch.where(seen, 0.0, torch.finfo(torch.float32).min)

    @torch.no_grad()
    def keeps_apart(self) -> bool:
        """Whether texts in one row do not see each other: as many models, as many ways to build a mask.

        Most build it from the positions; for those that do not it is spelt out.
        """
        if "position_ids" not in self.takes:
            return False
        return any(self._sees_nothing_before() for self.spelt_out in (False, True))

    def _sees_nothing_before(self) -> bool:
        was, _ = self.training, self.eval()
        last = [3, 1, 2]
        behind_one, behind_another, alone = (
            self._losses_of(texts)[0, -len(last) :] for texts in ([[1, 2, 3, 4], last], [[4, 4, 1, 2], last], [last])
        )
        self.train(was)
        return torch.equal(behind_one, behind_another) and torch.allclose(behind_one, alone, atol=0.02)

    def _losses_of(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Side by side in one row."""
        encoded: list[Encoded] = [
            {"tokens": np.array(ids), "learned": np.ones(len(ids), dtype=bool), "lost": np.zeros(1)} for ids in texts
        ]
        device = next(self.model.parameters()).device
        row = {name: tensor.to(device) for name, tensor in self.collate(encoded, sum(map(len, texts))).items()}
        return self.losses(row)

    @staticmethod
    def questions(batch: Batch) -> Iterator[Question]:
        """Each text up to its last answer, and that answer; plain texts ask nothing."""
        rows = zip(*(batch[name].tolist() for name in ("tokens", "texts", "learned")), strict=True)
        for tokens, texts, learned in rows:
            for number in sorted(set(texts) - {0}):
                start, end = texts.index(number), texts.index(number) + texts.count(number)
                last = max(place for place in range(start, end) if learned[place])
                first = next(place for place in range(last, start - 1, -1) if not learned[place]) + 1
                if first > start + 1:
                    yield number - 1, tokens[start:first], tokens[first : last + 1]

    # -- writing -------------------------------------------------------------------------------------------------------

    def begin(self, prompts: Sequence[Sequence[int]]) -> Step:
        """Reads prompts of any lengths, padded at the left."""
        if self.soft:
            return self._alone([list(one) for one in prompts])
        device, longest = next(self.model.parameters()).device, max(map(len, prompts))
        tokens = torch.tensor([[0] * (longest - len(one)) + list(one) for one in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts], device=device)
        return self._step(tokens, mask, (mask.cumsum(1) - 1).clamp(min=0), None)

    def go_on(self, chosen: torch.Tensor, state: Any) -> Step:
        """`chosen`, int64 (B,), are the tokens that were written."""
        if self.soft:
            return self._alone([[*text, token] for text, token in zip(state, chosen.tolist(), strict=True)])
        mask, positions, cache = state
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        return self._step(chosen[:, None].to(mask.device), mask, positions[:, -1:] + 1, cache)

    def _step(self, tokens: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any) -> Step:
        more = {"position_ids": positions} if "position_ids" in self.takes else {}
        last = {"logits_to_keep": 1} if "logits_to_keep" in self.takes else {}
        output = self.model(
            input_ids=tokens, attention_mask=mask, past_key_values=cache, use_cache=True, **more, **last
        )
        return output.logits[:, -1].float(), (mask, positions, output.past_key_values)

    def _alone(self, texts: list[list[int]]) -> Step:
        """Each read anew from its beginning."""
        device = next(self.model.parameters()).device
        last = [
            self.model(
                input_ids=(ids := torch.tensor([one], device=device)), attention_mask=torch.ones_like(ids)
            ).logits
            for one in texts
        ]
        return torch.cat([logits[:, -1] for logits in last]).float(), texts
