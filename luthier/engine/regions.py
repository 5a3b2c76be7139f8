"""Labelled regions of a picture as a network's targets: boxes of objects. Next: `runs/manifest`, where they stand."""

from collections.abc import Iterable
from dataclasses import dataclass

from luthier.runs.manifest import Region

Box = tuple[float, float, float, float]  # left, top, right, bottom, as fractions of the picture


@dataclass(frozen=True)
class Labelled:
    concept: str
    box: Box


def objects_of(regions: Iterable[Region]) -> list[Labelled]:
    """One per object: regions of one group are parts of it, and its box holds them all. Without area: left out."""
    whole: dict[object, Labelled] = {}
    for number, region in enumerate(regions):
        box = extent(region)
        if box is None:
            continue
        key = (region.concept, region.group) if region.group else number
        before = whole.get(key)
        whole[key] = Labelled(region.concept, _union(before.box, box) if before else box)
    return list(whole.values())


def extent(region: Region) -> Box | None:
    """The smallest box around a region, None where it has no area or is no part of a picture."""
    if region.kind == "box":
        left, top, right, bottom = region.points
    elif region.kind == "polygon":
        xs, ys = region.points[::2], region.points[1::2]
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    elif region.kind == "mask":
        return _extent_of_runs(region.runs)
    else:
        return None
    return (left, top, right, bottom) if right > left and bottom > top else None


def _extent_of_runs(runs: tuple[int, ...]) -> Box | None:
    """Runs go down the columns; every second one lies inside."""
    width, height, *lengths = runs
    left, top, right, bottom = width, height, 0, 0
    place = 0
    for number, length in enumerate(lengths):
        if number % 2 and length:
            first, last = place, place + length - 1
            left, right = min(left, first // height), max(right, last // height + 1)
            one_column = first // height == last // height
            top = min(top, first % height if one_column else 0)
            bottom = max(bottom, last % height + 1 if one_column else height)
        place += length
    return (left / width, top / height, right / width, bottom / height) if right > left and bottom > top else None


def _union(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
