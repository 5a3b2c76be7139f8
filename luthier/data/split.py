"""Which pictures train, which choose the best epoch, which judge: by the hash of their content. Next: `check`.

One picture is always on one side, whatever its name and however often it occurs; order and time play no part.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat

from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import SPLITS

DEFAULT_RATIOS: Mapping[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclass(frozen=True, slots=True)
class Item:
    """`blob` is the SHA-256 of the content; `stratum` what to balance over (its concept); `pinned` a split or ""."""

    blob: str
    stratum: str
    pinned: str = ""


def check_ratios(ratios: Mapping[str, float]) -> dict[str, float]:
    """Shares that sum to 1, for every split; raises InvalidRequest naming what is wrong."""
    for name, share in ratios.items():
        if name not in SPLITS:
            raise InvalidRequest(f"split {shown(name)!r} is not known; give shares for {', '.join(SPLITS)}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < float("inf"):
            raise InvalidRequest(f"the share of split {name} is {shown(share)}; give a number from 0 up, as 0.8 or 80")
    total = sum(ratios.values())
    if not ratios.get("train") or total <= 0:
        raise InvalidRequest("the share of split train must be above 0")
    return {name: ratios.get(name, 0) / total for name in SPLITS}


def assign_splits(items: Iterable[Item], ratios: Mapping[str, float], seed: int = 0) -> dict[str, str]:
    """Each blob's split, the same for the same blobs, strata, ratios and seed.

    Within a stratum the blobs are put in the order of their seeded hashes and dealt out by `ratios`; what does not
    divide evenly is carried to the next stratum, so small strata still fill "val" and "test" together. A stratum's
    first blob always trains. A pinned blob goes where it is pinned; pinned to two splits, its hash picks one of them
    (`pin_conflicts` tells). A blob in two strata counts in the first by name.
    """
    shares = check_ratios(ratios)
    pinned, splits = _collected(items)
    groups: dict[str, list[str]] = defaultdict(list)
    for blob, stratum in splits.items():
        if blob not in pinned:
            groups[stratum].append(blob)
    carried = dict.fromkeys(SPLITS, 0.0)
    for stratum in sorted(groups):
        ordered = groups.pop(stratum)
        ordered.sort(key=lambda blob: _hash(blob, seed))
        counts = _dealt(len(ordered), shares, carried)
        names = chain.from_iterable(repeat(name, counts[name]) for name in SPLITS)
        splits.update(zip(ordered, names, strict=True))  # in place of the strata: a million blobs are held once
    splits.update({blob: _picked(blob, wanted, seed) for blob, wanted in pinned.items()})
    return splits


def pin_conflicts(items: Iterable[Item]) -> dict[str, tuple[str, ...]]:
    """Blobs that are pinned to more than one split, and to which."""
    pinned, _ = _collected(items)
    return {blob: tuple(wanted) for blob, wanted in pinned.items() if len(wanted) > 1}


def _collected(items: Iterable[Item]) -> tuple[dict[str, list[str]], dict[str, str]]:
    pinned: dict[str, list[str]] = {}
    strata: dict[str, str] = {}
    for item in items:
        strata[item.blob] = min(item.stratum, strata.get(item.blob, item.stratum))
        if item.pinned:
            if item.pinned not in SPLITS:
                raise InvalidRequest(f"split {shown(item.pinned)!r} is not known; give one of {', '.join(SPLITS)}")
            pinned[item.blob] = sorted({*pinned.get(item.blob, []), item.pinned})
    return pinned, strata


def _picked(blob: str, wanted: list[str], seed: int) -> str:
    return wanted[int.from_bytes(_hash(blob, seed)) % len(wanted)]


def _hash(blob: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{blob}".encode()).digest()


def _dealt(count: int, shares: Mapping[str, float], carried: dict[str, float]) -> dict[str, int]:
    """How many of `count` go to each split (largest remainder); `carried` is the rest owed to each, and is updated."""
    owed = {name: count * shares[name] + carried[name] for name in SPLITS}
    given = {name: max(0, int(owed[name])) for name in SPLITS}
    while sum(given.values()) > count:
        given[max((name for name in SPLITS if given[name]), key=lambda name: given[name] - owed[name])] -= 1
    while sum(given.values()) < count:
        given[max(SPLITS, key=lambda name: round(owed[name] - given[name], 9))] += 1
    if not given["train"]:
        given[max(SPLITS, key=lambda name: given[name])] -= 1
        given["train"] = 1
    carried.update({name: owed[name] - given[name] for name in SPLITS})
    return given
