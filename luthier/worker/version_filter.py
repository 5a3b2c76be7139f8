"""A version's annotation filter, applied to its inputs while they are frozen. Next: `rpcs/version_filters` reads it.

{"filters": [{"concepts": [[id, value], …], "negate": bool}, …], "ignore_empty_inputs": bool}
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from luthier.store.snapshots import Member


def filtered(members: Iterable[Member], filter: Mapping[str, Any] | None) -> Iterator[Member]:
    """The inputs with those of their labels and regions that pass every filter.

    Empty ones are left out where the filter says so: those that no label and no region is left of.
    """
    if not filter:
        yield from members
        return
    for member in members:
        kept = replace(member, labels=_passing(member.labels, filter["filters"]), regions=_regions(member, filter))
        if kept.labels or kept.regions or not filter["ignore_empty_inputs"]:
            yield kept


def _regions(member: Member, filter: Mapping[str, Any]) -> list[Any]:
    """A region keeps the concepts that pass; one that loses all of them goes."""
    found = []
    for region in member.regions:
        labels = _passing(region.labels, filter["filters"])
        if labels or not (region.labels or filter["filters"]):
            found.append(region._replace(labels=labels))
    return found


def _passing(labels: Mapping[str, int], filters: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    every = [({tuple(one) for one in row["concepts"]}, row["negate"]) for row in filters]
    return {
        concept: value
        for concept, value in labels.items()
        if all(((concept, value) in named) != negate for named, negate in every)
    }
