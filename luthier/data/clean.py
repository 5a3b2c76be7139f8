"""Copies of one picture on both sides of a split flatter the metrics: they are left out of the judging side.

Next: `readers/imagefolder`, which applies this to splits that a user has made by hand.
"""

from collections.abc import Sequence

from luthier.runs.manifest import Example

_KEPT_FIRST = ("train", "val", "test")


def without_leaks(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """(kept, left out): bytes that train are not judged on, and those that choose the best epoch are not tested on.

    Copies within one split are kept. Order is kept. Invalid examples are kept: they are counted elsewhere.
    """
    side: dict[str, int] = {}
    for example in examples:
        if example.blob and not example.invalid:
            rank = _KEPT_FIRST.index(example.split)
            side[example.blob] = min(rank, side.get(example.blob, rank))
    kept: list[Example] = []
    out: list[Example] = []
    for example in examples:
        leaks = not example.invalid and side.get(example.blob, 9) < _KEPT_FIRST.index(example.split)
        (out if leaks else kept).append(example)
    return kept, out
