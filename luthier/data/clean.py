"""Copies of one input on both sides of a split flatter the metrics: they are left out of the judging side.

Next: `readers/imagefolder`, which applies this to splits that a user has made by hand.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

from luthier.runs.manifest import Example

_KEPT_FIRST = ("train", "val", "test")


def content_key(example: Example) -> str:
    """What copies of an input share: the hash of a picture's bytes, of a text's words in Unicode form NFC.

    "" where the bytes are not known. Texts that differ by their Unicode form alone look the same and are the same.
    """
    words = [example.text, *(part for message in example.messages for part in (message.role, message.content))]
    if not any(words):
        return example.blob
    text = "\0".join(words)
    if text.isascii():
        return example.blob
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")).hexdigest()


def without_leaks(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """(kept, left out): contents that train are not judged on, and those that choose the best epoch are not tested on.

    Copies within one split are kept. Order is kept. Invalid examples are kept: they are counted elsewhere.
    """
    side: dict[str, int] = {}
    keys = [content_key(example) for example in examples]
    for example, key in zip(examples, keys, strict=True):
        if key and not example.invalid:
            rank = _KEPT_FIRST.index(example.split)
            side[key] = min(rank, side.get(key, rank))
    kept: list[Example] = []
    out: list[Example] = []
    for example, key in zip(examples, keys, strict=True):
        leaks = not example.invalid and side.get(key, 9) < _KEPT_FIRST.index(example.split)
        (out if leaks else kept).append(example)
    return kept, out
