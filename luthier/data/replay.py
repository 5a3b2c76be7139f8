"""What an incremental training takes of its parent's data: a share to learn from, so that it forgets less (rehearsal,
as in Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"), and none of it to be judged on.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from luthier.data.clean import content_key
from luthier.runs.manifest import Example, read_manifest, text_bytes
from luthier.runs.run import RunFolder


def with_replay(
    examples: Iterable[Example], parent: Path, percent: float, seed: int, there: Callable[[Example], bool]
) -> Iterator[Example]:
    """`examples`, then `percent` of the training examples in the manifest `parent`, drawn by the hash of `seed`.

    Those that `examples` hold already, and those whose bytes are no longer `there`, are left out.
    """
    known: set[str] = set()
    for example in examples:
        known.add(key_of(example))
        yield example
    if percent <= 0 or not parent.exists():
        return
    for example in read_manifest(parent):
        if example.split != "train" or example.invalid or key_of(example) in known:
            continue
        if _draw(seed, key_of(example)) < percent / 100 and there(example):
            yield example


@dataclass
class Unseen:
    """Keeps what `parent` has learnt from out of val and test: metrics of it would say how well it was remembered."""

    parent: RunFolder | None
    left_out: int = 0  # of the examples that `of` was last given
    _learnt: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._learnt = _learnt_by(self.parent)

    def of(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The same examples, but those. Invalid ones are kept: they are counted elsewhere."""
        self.left_out = 0
        for example in examples:
            if example.split != "train" and not example.invalid and key_of(example) in self._learnt:
                self.left_out += 1
            else:
                yield example

    @property
    def note(self) -> str:
        """For the user; "" where nothing was left out."""
        if not self.left_out:
            return ""
        return (
            f"{self.left_out} validation and test examples are left out: the model that this training starts from has "
            "learnt from them"
        )


def _learnt_by(run: RunFolder | None) -> set[str]:
    """Keys of what the weights of a run have learnt from: its own training examples, and those of the run before it."""
    learnt: set[str] = set()
    while run is not None and run.spec_file.exists():
        if run.manifest_file.exists():
            rows = read_manifest(run.manifest_file)
            learnt |= {key_of(one) for one in rows if one.split == "train" and not one.invalid}
        before = run.spec().resume_from
        run = RunFolder(Path(before).parents[1]) if before else None
    return learnt


def key_of(example: Example) -> str:
    """What copies of one input share, in whatever run."""
    if known := content_key(example) or example.path:
        return known
    if example.text or example.messages:
        return hashlib.sha256(text_bytes(example)).hexdigest()
    return example.id


def _draw(seed: int, key: str) -> float:
    """In 0..1, the same for the same arguments."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/replay/{key}".encode(), digest_size=8).digest(), "big") / 2**64
