"""Puts what a reader found into splits and leaves copies out of the judging side. Next: `luthier/data/split`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from luthier.data.clean import content_key, without_leaks
from luthier.data.readers.found import ReadResult
from luthier.data.split import Item, assign_splits
from luthier.errors import shown
from luthier.runs.manifest import SPLITS, Example

VAL_SHARE = TEST_SHARE = 0.1
SPLIT_NAMES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def split_examples(
    examples: Sequence[Example], result: ReadResult, seed: int, *, as_given: bool = False
) -> list[Example]:
    """Every example in a split, in order; those without one are dealt out by the hash of their content.

    A split that no example is given is taken out of train, alike in every class. With `as_given`, splits that stand
    in the data are left as they are, empty ones too, and an example that names none trains.
    """
    given = {example.split for example in examples} - {""}
    if as_given and given:
        placed = [replace(example, split=example.split or "train") for example in examples]
    else:
        placed = _dealt(examples, given, result, seed)
    kept, left_out = without_leaks(placed)
    _note_leaks(kept, left_out, result)
    return kept


def _dealt(examples: Sequence[Example], given: set[str], result: ReadResult, seed: int) -> list[Example]:
    ratios = {"val": 0.0 if "val" in given else VAL_SHARE, "test": 0.0 if "test" in given else TEST_SHARE}
    ratios["train"] = 1 - ratios["val"] - ratios["test"]
    free = [example for example in examples if example.split in ("", "train")]
    if "train" in given:
        _note_missing(given, result)
    items = [Item(content_key(example), _stratum(example)) for example in free if not example.invalid]
    splits = assign_splits(items, ratios, seed) if items else {}
    return [_placed(example, splits) for example in examples]


def _stratum(example: Example) -> str:
    """What the splits are balanced over: the first concept."""
    if example.labels:
        return next(iter(example.labels))
    return example.regions[0].concept if example.regions else ""


def _placed(example: Example, splits: Mapping[str, str]) -> Example:
    if example.split not in ("", "train"):
        return example
    return replace(example, split="train" if example.invalid else splits[content_key(example)])


def _note_missing(given: set[str], result: ReadResult) -> None:
    missing = [split for split in SPLITS if split not in given]
    if missing:
        result.notes.append(f"there is no {' and no '.join(missing)} folder: 10 % of train is used for each, by hash")


def _note_leaks(kept: list[Example], left_out: list[Example], result: ReadResult) -> None:
    if not left_out:
        return
    classes = {content_key(example): example.labels for example in kept}
    torn = sum(example.labels != classes[content_key(example)] for example in left_out)
    names = ", ".join(shown(example.id) for example in left_out[:5])
    result.notes.append(
        f"{len(left_out)} {_called(left_out)} of val or test are byte for byte in an earlier split and left out"
        + (f", {torn} of them under another class" if torn else "")
        + f": {names}{' …' if len(left_out) > 5 else ''}"
    )


def note_copies(result: ReadResult) -> None:
    """Counts copies; `check` warns of those that two classes claim."""
    seen = Counter(content_key(example) for example in result.examples if not example.invalid)
    extra = sum(count - 1 for count in seen.values())
    if extra:
        called = _called(result.examples)
        result.notes.append(f"{extra} {called} are byte for byte copies of others in the same split")


def _called(examples: Sequence[Example]) -> str:
    return "pictures" if all(example.path for example in examples) else "inputs"
