"""Boxes, polygons, masks and spans, checked: the platform's own rules, since what is read may go there. Next: `coco`.

Fractions are kept to seven decimals (a five-hundredth of a pixel of a picture 20,000 pixels wide), so that pixels that
a format writes lead back to the same fractions.
"""

from collections.abc import Sequence
from itertools import pairwise

from luthier.errors import InvalidAnnotation, shown
from luthier.runs.manifest import Region

OVERSHOOT = 1e-6  # rounding that is forgiven outside 0..1
MOST_POINTS = 10_000
DECIMALS = 7


def number(value: object, name: str) -> float:
    """A finite number; raises InvalidAnnotation."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        raise InvalidAnnotation(f"{name} is {shown(value)}; give a finite number")
    return float(value)


def fraction(value: object, name: str) -> float:
    """A number from 0 to 1, rounded; raises InvalidAnnotation naming the coordinate."""
    given = number(value, name)
    if not -OVERSHOOT <= given <= 1 + OVERSHOOT:
        raise InvalidAnnotation(f"{name} is {given:.7g} of the picture; it must lie inside, from 0 to 1")
    return round(min(1.0, max(0.0, given)), DECIMALS)


def box(concept: str, left: object, top: object, right: object, bottom: object, group: int = 0) -> Region:
    """A box of fractions; raises InvalidAnnotation for one that is outside, inverted or without area."""
    sides = zip((left, top, right, bottom), ("left", "top", "right", "bottom"), strict=True)
    points = tuple(fraction(value, f"the box's {name}") for value, name in sides)
    for low, high, name in ((0, 2, "left {} right {}"), (1, 3, "top {} bottom {}")):
        if points[low] >= points[high]:
            said = name.format(f"{points[low]} is not below", points[high])
            raise InvalidAnnotation(f"the box has no area: {said}")
    return Region("box", concept, points, group=group)


def polygon(concept: str, coordinates: Sequence[object], group: int = 0) -> Region:
    """A polygon of fractions x, y, x, y, …; may cross itself, points repeated in a row count once."""
    if len(coordinates) % 2:
        raise InvalidAnnotation(f"the polygon has {len(coordinates)} coordinates; give an x and a y for every point")
    if len(coordinates) > 2 * MOST_POINTS:
        raise InvalidAnnotation(f"the polygon has {len(coordinates) // 2} points; at most {MOST_POINTS} are kept")
    points: list[tuple[float, float]] = []
    for index in range(0, len(coordinates), 2):
        name = f"point {index // 2 + 1} of the polygon"
        point = fraction(coordinates[index], f"x of {name}"), fraction(coordinates[index + 1], f"y of {name}")
        if not points or point != points[-1]:
            points.append(point)
    if len(set(points)) < 3:
        raise InvalidAnnotation(f"the polygon has {len(set(points))} different points; it needs at least 3")
    return Region("polygon", concept, tuple(value for point in points for value in point), group=group)


def mask(concept: str, width: int, height: int, counts: Sequence[object], group: int = 0) -> Region:
    """A mask of run lengths; raises InvalidAnnotation unless they fill width x height exactly."""
    runs = [count for count in counts if isinstance(count, int) and not isinstance(count, bool) and count >= 0]
    if len(runs) < len(counts):
        raise InvalidAnnotation("the mask's run lengths are not all whole numbers from 0 up")
    if sum(runs) != width * height:
        raise InvalidAnnotation(f"the mask has {sum(runs)} pixels, the picture {width}x{height} = {width * height}")
    return Region("mask", concept, runs=(width, height, *runs), group=group)


def span(concept: str, start: object, end: object, length: int) -> Region:
    """Characters start..end (excluded) of a text of `length` characters."""
    for value in (start, end):
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidAnnotation(f"the span goes from {shown(start)} to {shown(end)}; give whole numbers")
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= length:
        raise InvalidAnnotation(f"the span {start}..{end} does not lie in the text of {length} characters")
    return Region("span", concept, (start, end))


def extent(region: Region) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a box or polygon, as fractions."""
    if region.kind == "box":
        left, top, right, bottom = region.points
        return left, top, right, bottom
    xs, ys = region.points[::2], region.points[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def polygon_area(region: Region) -> float:
    """Shoelace formula, in fractions of the picture."""
    points = list(zip(region.points[::2], region.points[1::2], strict=True))
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise([*points, points[0]]))) / 2
