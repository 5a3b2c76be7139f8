"""Manifest -> splits -> batches. Decoded examples are kept within a memory budget. Next: `train`."""

import hashlib
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import torch

from luthier.engine.recipe import Batch, Encoded, Recipe
from luthier.engine.token_files import HASH_BYTES, WORTH_SECONDS, TokenFiles, Tokens
from luthier.errors import InvalidDataToleranceExceeded, LuthierError, NoTrainingData
from luthier.runs.manifest import SPLITS, Example, example_from_line, text_bytes
from luthier.runs.run import RunSpec

BATCHES_AHEAD = 3
HANDED_OVER = 64  # examples that a thread measures at a time
STRETCH = 50  # batches among which examples are sorted by size: little padding, and yet a random order
FIRST_IDS = 20
Found = TypeVar("Found")


class TooManyInvalid(InvalidDataToleranceExceeded):
    """Too many invalid inputs"""

    def __init__(self, details: str, invalid: list[dict[str, str]]) -> None:
        super().__init__(details)
        self.invalid = invalid


@dataclass(frozen=True)
class Skipped:
    """An example that is not used. `counted`: against the tolerance for invalid data, as its bytes are bad."""

    id: str
    reason: str
    counted: bool


class Rejections:
    """What is left out and why; raises InvalidDataToleranceExceeded as soon as it is too much."""

    def __init__(self, tolerance_percent: float) -> None:
        self.tolerance_percent = tolerance_percent
        self.total = 0  # examples in the manifest
        self.rows: dict[str, Skipped] = {}  # by example id

    def add(self, example_id: str, reason: str, counted: bool = True) -> None:
        self.rows.setdefault(example_id, Skipped(example_id, reason, counted))

    def check(self) -> None:
        bad = [row for row in self.rows.values() if row.counted]
        if len(bad) * 100 <= self.tolerance_percent * self.total:
            return
        reasons = "; ".join(
            f"{count} × {reason}" for reason, count in Counter(row.reason for row in bad).most_common(5)
        )
        raise TooManyInvalid(
            f"{len(bad)} of {self.total} inputs ({100 * len(bad) / self.total:.1f} %) cannot be used, "
            f"invalid_data_tolerance_percent allows {self.tolerance_percent:g} %: {reasons}. "
            f"First ids: {', '.join(row.id for row in bad[:FIRST_IDS])}. Repair or delete them, or raise the tolerance",
            [{"id": row.id, "reason": row.reason} for row in bad[:FIRST_IDS]],
        )


@dataclass
class Split:
    """The usable examples of one split, as places in the manifest: the lines themselves are read when needed."""

    name: str
    offsets: list[int] = field(default_factory=list)  # bytes
    lengths: list[int] = field(default_factory=list)
    positives: Counter[str] = field(default_factory=Counter)  # concept id -> examples
    concepts: list[tuple[str, ...]] = field(default_factory=list)  # of each example, where sampling goes by them

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True)
class Cut:
    """How much of texts is not read: `texts` lose `lost` of all `tokens`, as `limit` is the most of one text."""

    texts: int = 0
    lost: int = 0
    tokens: int = 0
    limit: int = 0


class Data:
    """The examples of one manifest, by split; raises InvalidDataToleranceExceeded when too many are bad."""

    def __init__(
        self, manifest: Path, spec: RunSpec, recipe: Recipe, threads: int, token_files: TokenFiles | None = None
    ) -> None:
        self.spec = spec
        self.recipe = recipe
        self.rejections = Rejections(spec.invalid_data_tolerance_percent)
        self.splits = {name: Split(name) for name in SPLITS}
        self._manifest = os.open(manifest, os.O_RDONLY)
        self._pool = ThreadPoolExecutor(max(1, min(threads, 16)), thread_name_prefix="decode")
        self._cache: dict[tuple[str, int], Encoded] = {}
        self._sizes: dict[str, list[int]] = {}
        self._lost: dict[str, list[int]] = {}
        self._token_files = token_files
        self._tokens: dict[str, Tokens] = {}  # by split, where an earlier training has left them
        self._cache_room = spec.image_cache_mb * 2**20
        self._lock = threading.Lock()
        self._judged_alone = False  # nothing is learnt from these examples, whatever their split
        self._read(manifest)
        self.rejections.check()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        os.close(self._manifest)

    def require_training_data(self) -> None:
        if not len(self.splits["train"]):
            reasons = Counter(row.reason for row in self.rejections.rows.values())
            why = (
                "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(5)) or "the data set is empty"
            )
            raise NoTrainingData(
                f"no input of the train split can be used: {why}. Label inputs with the concepts of the model"
            )

    def merge_splits(self) -> None:
        """All examples into the first split: an evaluation judges what it is given."""
        self._judged_alone = True
        first, *others = self.splits.values()
        for split in others:
            first.offsets += split.offsets
            first.lengths += split.lengths
            first.positives += split.positives
            self.splits[split.name] = Split(split.name)

    def batches(self, split: str, chunks: Sequence[Sequence[int]]) -> Iterator[Batch | None]:
        """One collated batch per chunk of example numbers, decoded ahead; None for a chunk without a readable one."""
        waiting: list[list[Encoded | Future[Encoded | None]]] = []
        for number in range(len(chunks) + BATCHES_AHEAD):
            if number < len(chunks):
                waiting.append([self._soon(split, index) for index in chunks[number]])
            if number >= BATCHES_AHEAD:
                ready = [one.result() if isinstance(one, Future) else one for one in waiting.pop(0)]
                self.rejections.check()
                good = [one for one in ready if one is not None]
                yield self.recipe.collate(good) if good else None

    def forget(self, splits: Iterable[str]) -> None:
        """Frees the memory of decoded examples that will not be asked for again."""
        with self._lock:
            for split in splits:
                self._tokens.pop(split, None)
            for key in [key for key in self._cache if key[0] in splits]:
                self._cache_room += sum(array.nbytes for array in self._cache.pop(key).values())

    def example(self, split: str, index: int) -> Example:
        place = self.splits[split]
        line = os.pread(self._manifest, place.lengths[index], place.offsets[index])
        found = example_from_line(line.decode("utf-8"))
        return replace(found, split="test") if self._judged_alone else found

    def file_of(self, example: Example) -> Path:
        if example.path:
            return Path(example.path)
        return Path(self.spec.blob_folder) / example.blob[:2] / example.blob

    def sizes(self, split: str) -> list[int]:
        """How large each example of the split is, for batches of like size; empty where all are of one size."""
        if not self.recipe.varied:
            return []
        if split not in self._sizes:
            measured = self._all_measured(split)
            self._sizes[split] = [size for size, _ in measured]
            self._lost[split] = [lost for _, lost in measured]
        return self._sizes[split]

    def _of_all(self, split: str, asked: Callable[[str, int], Found]) -> list[Found]:
        """What `asked` says of each example, many at a time: to hand one over costs as much as to read a short text."""
        count = len(self.splits[split])
        parts = [range(start, min(start + HANDED_OVER, count)) for start in range(0, count, HANDED_OVER)]
        found = self._pool.map(lambda part: [asked(split, index) for index in part], parts)
        return [one for part in found for one in part]

    def _all_measured(self, split: str) -> list[tuple[int, int]]:
        """Reads every example; tokens of texts come from an earlier training's file, else are left in one for later."""
        files = self._token_files
        if files is None or not len(self.splits[split]):
            return self._of_all(split, self._measured)
        hashes = self._of_all(split, self._hashes)
        file = files.file_of([content for content, _ in hashes])
        tokens = files.read(file)
        if tokens is not None:
            self._tokens[split] = tokens
        began = time.monotonic()
        measured = self._of_all(split, self._measured)
        if tokens is None and time.monotonic() - began >= WORTH_SECONDS:
            files.write(file, [blob for _, blob in hashes], [self._cache.get((split, at)) for at in range(len(hashes))])
        return measured

    def _hashes(self, split: str, index: int) -> tuple[bytes, bytes]:
        """SHA-256 of what is read of an example, and of what was uploaded, which may have told the same otherwise."""
        example = self.example(split, index)
        stored = bytes.fromhex(example.blob)
        if stored and not (example.path or example.text or example.messages):
            return stored, stored
        try:
            content = hashlib.sha256(self.bytes_of(example)).digest()
        except OSError:
            content = bytes(HASH_BYTES)
        return content, stored or content

    @property
    def alike(self) -> list[list[int]]:
        """Training examples by the rarest of their concepts; those without any are a group too."""
        split = self.splits["train"]
        groups: dict[str, list[int]] = {}
        for index, concepts in enumerate(split.concepts):
            rarest = min(concepts, key=lambda concept: (split.positives[concept], concept), default="")
            groups.setdefault(rarest, []).append(index)
        return [groups[concept] for concept in sorted(groups)]

    def cut(self, split: str) -> Cut:
        """Of texts; for other kinds of input nothing is ever cut off."""
        sizes, lost = self.sizes(split), self._lost.get(split, [])
        return Cut(sum(one > 0 for one in lost), sum(lost), sum(lost) + sum(sizes), max(sizes, default=0))

    def _measured(self, split: str, index: int) -> tuple[int, int]:
        """An example's size and what was cut off it: the encoded arrays hold both, the first one is as long as it."""
        encoded = self._encoded(split, index)
        if encoded is None:
            return 0, 0
        return len(next(iter(encoded.values()))), int(encoded["lost"].sum())

    def bytes_of(self, example: Example) -> bytes:
        """Raises OSError where its file cannot be read."""
        return text_bytes(example) if example.text or example.messages else self.file_of(example).read_bytes()

    def _read(self, manifest: Path) -> None:
        offset = 0
        with manifest.open("rb") as file:
            for line in file:
                if line.strip():
                    self._place(example_from_line(line.decode("utf-8")), offset, len(line))
                offset += len(line)

    def _place(self, example: Example, offset: int, length: int) -> None:
        self.rejections.total += 1
        here = example.text or example.messages or _has_bytes(self.file_of(example))
        invalid = example.invalid or ("" if here else "its file is missing or empty")
        unusable = invalid or self.recipe.unusable(example)
        if unusable:
            self.rejections.add(example.id, unusable, counted=bool(invalid))
            return
        split = self.splits[example.split]
        split.offsets.append(offset)
        split.lengths.append(length)
        concepts = tuple(self.recipe.concepts_in(example))
        split.positives.update(concepts)
        if self.recipe.plan.balanced_sampling and split.name == "train":
            split.concepts.append(concepts)

    def _soon(self, split: str, index: int) -> Encoded | Future[Encoded | None]:
        cached = self._cache.get((split, index))
        return cached if cached is not None else self._pool.submit(self._encoded, split, index)

    def _encoded(self, split: str, index: int) -> Encoded | None:
        example = self.example(split, index)
        if example.id in self.rejections.rows:
            return None
        try:
            encoded = self._kept(split, index, example) or self.recipe.encode(self.bytes_of(example), example)
        except (LuthierError, OSError) as error:
            self.rejections.add(example.id, str(error))
            return None
        self._keep((split, index), encoded)
        return encoded

    def _kept(self, split: str, index: int, example: Example) -> Encoded | None:
        files, tokens = self._token_files, self._tokens.get(split)
        row = tokens.row(index) if tokens else None
        return files.labelled(row, example) if files and row else None

    def _keep(self, key: tuple[str, int], encoded: Encoded) -> None:
        size = sum(array.nbytes for array in encoded.values())
        with self._lock:
            if size <= self._cache_room:
                self._cache_room -= size
                self._cache[key] = encoded


def _has_bytes(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


# -- order and randomness: pure functions of (seed, what for, number), so that nothing need be stored to go on ---------


def seed_for(seed: int, purpose: str, number: int) -> int:
    """63 bits that depend on nothing else than the arguments."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator_for(seed: int, purpose: str, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for(seed, purpose, number))


def steps_per_epoch(examples: int, batch_size: int, examples_per_epoch: int) -> int:
    count = examples_per_epoch or examples
    steps, rest = divmod(count, batch_size)
    return steps + int(rest > 1 or steps == 0)


def training_chunks(
    examples: int,
    batch_size: int,
    examples_per_epoch: int,
    *,
    seed: int,
    epoch: int,
    sizes: Sequence[int] = (),
    alike: Sequence[Sequence[int]] = (),
) -> list[list[int]]:
    """The batches of one epoch as example numbers. A last batch of one example is left out: BatchNorm needs two.

    With `sizes`, one for each example, a batch holds examples of like size: the random order is sorted within
    stretches of STRETCH batches, and the batches of a stretch are mixed again. With `alike`, groups of examples,
    every group is drawn from equally often.
    """
    generator = generator_for(seed, "order", epoch)
    count = examples_per_epoch or examples
    order = _balanced(alike, count, generator) if alike else _drawn(range(examples), count, generator)
    # who is left out is settled before any sorting: it would be the longest example in every epoch
    order = order[: steps_per_epoch(examples, batch_size, examples_per_epoch) * batch_size]
    if not sizes:
        return _cut(order, batch_size)
    chunks: list[list[int]] = []
    for start in range(0, len(order), batch_size * STRETCH):
        stretch = sorted(order[start : start + batch_size * STRETCH], key=lambda index: sizes[index])
        cut = _cut(stretch, batch_size)
        chunks += [cut[place] for place in torch.randperm(len(cut), generator=generator).tolist()]
    return chunks


def evenly(chunk: Sequence[int], most: int) -> list[list[int]]:
    """Cut into as few parts of at most `most` as can be, all of one length give or take one."""
    count = -(-len(chunk) // most)
    bounds = [len(chunk) * place // count for place in range(count + 1)]
    return [list(chunk[start:end]) for start, end in itertools.pairwise(bounds)]


def chunks_in_order(examples: int, batch_size: int, sizes: Sequence[int] = ()) -> list[list[int]]:
    """Every example once; with `sizes`, the smallest first."""
    return _cut(sorted(range(examples), key=lambda index: sizes[index]) if sizes else range(examples), batch_size)


def _drawn(examples: Sequence[int], count: int, generator: torch.Generator) -> list[int]:
    """`count` of `examples` in random order, none a second time before each has come once."""
    order: list[int] = []
    while len(order) < count:
        order += [examples[place] for place in torch.randperm(len(examples), generator=generator).tolist()]
    return order[:count]


def _balanced(groups: Sequence[Sequence[int]], count: int, generator: torch.Generator) -> list[int]:
    """As many of each group, give or take one, in random order."""
    shares = [count * (place + 1) // len(groups) - count * place // len(groups) for place in range(len(groups))]
    chosen = [one for group, share in zip(groups, shares, strict=True) for one in _drawn(group, share, generator)]
    return [chosen[place] for place in torch.randperm(count, generator=generator).tolist()]


def _cut(order: Sequence[int], batch_size: int) -> list[list[int]]:
    return [list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]


@runtime_checkable
class Prepares(Protocol):
    """A recipe that goes through all examples before the first step, as an embedder that is asked once for each."""

    def prepare(self, data: Data, log: Callable[[str], None]) -> None:
        """Called when the network is built, also where a run is gone on with; nothing may depend on it but time."""
