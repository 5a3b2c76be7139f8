"""How a generator is judged: perplexity of the wanted answers and, where asked for, the answers that it writes itself.

Next: `answer_metrics`.
"""

import math
from dataclasses import replace

import torch

from luthier.engine.generation.answer_metrics import measure
from luthier.engine.generation.networks import Network
from luthier.engine.generation.wording import Wording
from luthier.engine.generation.writing import Options, written
from luthier.engine.recipe import Batch, Scores

ROOM = 16  # tokens that a judged answer may be longer than the one that is wanted
MEASURES = ("exact_match", "rouge_l", "chrf")
LARGEST_EXPONENT = 700.0  # of e: a larger perplexity is no double


def judged(network: Network, batch: Batch, wording: Wording, *, answers: bool, most: int) -> Batch:
    """Of each text "loss", the sum over its tokens that count, and "counts", how many these are; float64 (B,).

    With `answers` also MEASURES, 0 where there is no answer to a prompt, and "judged", 1 where there is one. `most`:
    tokens that the network has positions for, 0 for no limit.
    """
    losses, learned, texts = network.losses(batch).double(), batch["learned"], batch["texts"]
    number = texts.expand(learned.shape)[learned] - 1
    sums = torch.zeros((2, int(texts.max())), dtype=torch.float64, device=losses.device)
    sums[0].index_add_(0, number, losses[learned])
    sums[1].index_add_(0, number, torch.ones_like(losses[learned]))
    found = {"loss": sums[0], "counts": sums[1]}
    return {**found, **_measured(network, batch, wording, len(sums[0]), most)} if answers else found


def _measured(network: Network, batch: Batch, wording: Wording, count: int, most: int) -> Batch:
    table = {name: torch.zeros(count, dtype=torch.float64) for name in (*MEASURES, "judged")}
    questions = list(network.questions(batch))
    if questions:
        longest = max(len(wanted) for _, _, wanted in questions)
        options = replace(Options(), max_tokens=longest + ROOM)
        texts = written(network, wording, [prompt for _, prompt, _ in questions], options, most)
        for (number, _, wanted), text in zip(questions, texts, strict=True):
            for name, value in measure(text.whole(), wording.text(wanted)).items():
                table[name][number] = value
            table["judged"][number] = 1
    return table


class GenerationJudge:
    """Keeps sums alone."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}

    def add(self, predicted: Batch, batch: Batch) -> None:
        for name, values in predicted.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(values.sum())

    def scores(self) -> Scores:
        if not self.sums.get("counts"):
            return Scores({}, [], ())
        loss = self.sums["loss"] / self.sums["counts"]
        metrics = {"loss": loss, "perplexity": math.exp(min(loss, LARGEST_EXPONENT))}
        if answers := self.sums.get("judged"):
            metrics |= {name: self.sums[name] / answers for name in MEASURES}
        return Scores(metrics, [], (-loss,))
