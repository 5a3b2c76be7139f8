"""A share of the parent's training data for an incremental training, so that it forgets less.

Rehearsal, as in Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal".
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from luthier.data.clean import content_key
from luthier.runs.manifest import Example, read_manifest


def with_replay(
    examples: Iterable[Example], parent: Path, percent: float, seed: int, there: Callable[[Example], bool]
) -> Iterator[Example]:
    """`examples`, then `percent` of the training examples in the manifest `parent`, drawn by the hash of `seed`.

    Those that `examples` hold already, and those whose bytes are no longer `there`, are left out.
    """
    known: set[str] = set()
    for example in examples:
        known.add(_key(example))
        yield example
    if percent <= 0 or not parent.exists():
        return
    for example in read_manifest(parent):
        if example.split != "train" or example.invalid or _key(example) in known:
            continue
        if _draw(seed, _key(example)) < percent / 100 and there(example):
            yield example


def _key(example: Example) -> str:
    return content_key(example) or example.path or example.id


def _draw(seed: int, key: str) -> float:
    """In 0..1, the same for the same arguments."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/replay/{key}".encode(), digest_size=8).digest(), "big") / 2**64
