"""Which pictures are good and which show an anomaly, and where the latter go: they are judged, never learnt.

`good` are the ids of the concepts that good pictures carry. Next: `catalog/anomaly`, which finds those.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from luthier.runs.manifest import Example


def is_anomalous(example: Example, good: frozenset[str]) -> bool | None:
    """By its labels and regions; None where they do not say.

    A concept that is not good makes a picture anomalous, whatever else it carries, and so does not being good. Not
    having a fault makes a picture good as being good does.
    """
    has = {concept for concept, value in example.labels.items() if value} | {one.concept for one in example.regions}
    lacks = {concept for concept, value in example.labels.items() if not value}
    if has - good or lacks & good:
        return True
    return False if has or lacks else None


def held_out(examples: Iterable[Example], good: frozenset[str]) -> Iterator[Example]:
    """The same examples, but that anomalies of the train split go to val or test, by the hash of their content."""
    for example in examples:
        if example.split == "train" and not example.invalid and is_anomalous(example, good):
            key = zlib.crc32((example.blob or example.id).encode())
            example = replace(example, split=("val", "test")[key % 2])
        yield example
