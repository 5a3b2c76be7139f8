"""How well and how fast text generators learn here: a format learnt by a tiny decoder; what packing brings. Tables.

    python benchmarks/text.py --seeds 3

Nothing is downloaded: the decoder is random at first, its tokenizer made from the texts. Times are seconds of this
process on the processor, all in one run, a round of each in turn.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from luthier.catalog.model_type import find_template
from luthier.catalog.weights import assets, folder
from luthier.engine.devices import choose
from luthier.engine.recipe import Batch, Encoded
from luthier.engine.recipes.text_generation import TextGeneration
from luthier.engine.session import build_network
from luthier.runs.manifest import Example, Message, text_bytes
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import finished, train_here
from tests.recipes.tiny_writers import tiny_decoder

WEIGHTS = "benchmark/decoder"
CITIES = ("Oslo", "Lima", "Kyoto", "Accra", "Porto", "Minsk", "Hanoi", "Tunis", "Quito", "Bergen", "Sofia", "Delhi")
BEFORE = ("", "In spring ", "I hear that ", "As my old neighbour with the three dogs told us on Sunday evening, ",
          "After a journey of many days, two broken wheels and a lost suitcase, we saw that ")  # fmt: skip
AFTER = ("{} is lovely.", "{} has two rivers.", "the museum of {} is closed.", "a train leaves for {} at nine.",
         "nobody who has walked along the harbour of {} in the rain ever forgets the smell of it.")  # fmt: skip
BATCH, STEPS = 16, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        tiny_decoder(folder(root / "weights", WEIGHTS), [text for row in rows(0) for text in texts_of(row)], "llama")
        print(
            "## A format is learnt\n\n| exact match | perplexity | processor seconds |\n| --- | --- | --- |", flush=True
        )
        learnt = [learn(root, seed) for seed in seeds]
        before = statistics.mean(one[0] for one in learnt)
        after = [one[1] for one in learnt]
        spread = f"(spread {max(after) - min(after):.3f})"
        perplexity, seconds = (statistics.mean(one[n] for one in learnt) for n in (2, 3))
        print(f"| {before:.3f} -> {statistics.mean(after):.3f} {spread} | {perplexity:.3f} | {seconds:.0f} |\n")
        print(
            "## Packing\n\n| batches | tokens/s | of them padding | mean loss |\n| --- | --- | --- | --- |", flush=True
        )
        for line in packing(root):
            print(line, flush=True)


def rows(seed: int) -> list[Example]:
    """240 sentences that name a city, a sixth of them for testing."""
    draw = random.Random(seed)
    pairs = [(city, before + after) for city in CITIES for before in BEFORE for after in AFTER]
    chosen = draw.sample(pairs, 240)
    return [
        Example(f"{n}", f"{n:064x}", "test" if n % 6 == 0 else "train", messages=(
            Message("user", sentence.format(city)), Message("assistant", json.dumps({"city": city}))
        ))
        for n, (city, sentence) in enumerate(chosen)
    ]  # fmt: skip


def long_and_short(examples: Sequence[Example]) -> list[Example]:
    """Questions as people ask them: half are one sentence, some a whole story that ends in the one that matters."""
    draw, told = random.Random(2), [row.messages[0].content for row in examples]
    longer = []
    for row in examples:
        asked, answered = row.messages
        before = draw.sample(told, draw.choice((0, 0, 0, 0, 0, 1, 1, 4)))
        longer.append(replace(row, messages=(Message("user", " ".join([*before, asked.content])), answered)))
    return longer


def texts_of(row: Example) -> list[str]:
    return [message.content for message in row.messages]


def made(root: Path, name: str, seed: int, **plan: object) -> RunFolder:
    template = find_template("text-to-text", "HuggingFace_AdvancedConfig")
    values = template.checked({})
    fields = {**asdict(template.plan_for(values)), "max_tokens": 256, "batch_size": BATCH, **plan}
    spec = RunSpec(
        run=name, model_type="text-to-text", template=template.id, recipe=template.recipe, backbone=template.backbone,
        weights=WEIGHTS, hyperparameters=values, plan=fields, concepts=(), seed=seed, device="cpu", threads=1,
        weights_folder=str(root / "weights"),
    )  # fmt: skip
    return prepare(root / name, spec, rows(seed), assets(root / "weights", WEIGHTS))


# -- a format ----------------------------------------------------------------------------------------------------------


def learn(root: Path, seed: int) -> tuple[float, float, float, float]:
    """Exact match before and after, perplexity after, processor seconds of the training."""
    untrained = finished(
        train_here(made(root, f"before-{seed}", seed, epochs=1, learning_rate=0.0, judge_answers=True))
    )
    began = time.process_time()
    run = made(root, f"after-{seed}", seed, epochs=30, learning_rate=5e-3, warmup_steps=20, judge_answers=True)
    trained = finished(train_here(run)).metrics
    spent = time.process_time() - began
    return untrained.metrics["exact_match"], trained["exact_match"], trained["perplexity"], spent


# -- packing -----------------------------------------------------------------------------------------------------------


def packing(root: Path) -> Iterator[str]:
    """The same examples, forward and backward: in the same order, and in batches of like length, which pad less too."""
    packed, padded = (recipe_of(made(root, f"packing-{one}", 0, packing=one)) for one in (True, False))
    encoded = [packed.encode(text_bytes(row), row) for row in long_and_short(rows(0))]
    order = random.Random(1).sample(range(len(encoded)), len(encoded))
    by_length = sorted(order, key=lambda index: len(encoded[index]["tokens"]))
    ways = {
        "padded, in random order": (padded, order),
        "padded, like lengths together": (padded, by_length),
        "packed": (packed, order),
    }
    network = build_network(packed, packed.spec, choose("cpu", 1), print).train()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, float] = {}
    batches = {name: [batch_of(recipe, encoded, part) for part in parts(use)] for name, (recipe, use) in ways.items()}
    for _ in range(4):  # the first warms up
        for name, (recipe, _) in ways.items():
            began = time.process_time()
            losses[name] = statistics.mean(one_step(recipe, network, batch) for batch in batches[name])
            seconds[name].append(time.process_time() - began)
    tokens = sum(len(one["tokens"]) for one in encoded)
    for name in ways:
        room = sum(batch["tokens"].numel() for batch in batches[name])
        speed = tokens / statistics.median(seconds[name][1:])
        yield f"| {name} | {speed:,.0f} | {100 * (1 - tokens / room):.0f} % | {losses[name]:.4f} |"


def recipe_of(run: RunFolder) -> TextGeneration:
    return TextGeneration(run.spec())


def parts(order: Sequence[int]) -> list[Sequence[int]]:
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def batch_of(recipe: TextGeneration, encoded: Sequence[Encoded], part: Sequence[int]) -> Batch:
    return recipe.collate([encoded[index] for index in part])


def one_step(recipe: TextGeneration, network: torch.nn.Module, batch: Batch) -> float:
    loss = recipe.loss(network, batch)  # type: ignore[arg-type]
    network.zero_grad(set_to_none=True)
    loss.backward()
    return float(loss.detach())


if __name__ == "__main__":
    main()
