"""An input's regions as a frozen version has them: masks decoded into runs, in a helper process. Next: `snapshot_job`.

A region that carries several concepts becomes one of each; one that says what it is not (value 0), or nothing, is
not learnt from and left out.
"""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from luthier.data.decode_pool import DecodeProcess, DecodeResult
from luthier.errors import InvalidAnnotation
from luthier.runs.manifest import Region
from luthier.store.blobs import Blobs
from luthier.store.regions import Marked
from luthier.store.snapshots import Member

DECIMALS = 7  # a float of 32 bits holds no more of a fraction; as `data/readers/shapes` keeps them


class Masks:
    """Decodes the masks of some inputs at a time; the helper starts with the first mask."""

    def __init__(self, blobs: Blobs, memory_mb: int, seconds: float) -> None:
        self._blobs = blobs
        self._decoder = DecodeProcess(memory_mb, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoder.close()

    def of(self, members: Iterable[Member]) -> dict[str, DecodeResult]:
        """By the SHA-256 of a mask."""
        shas = sorted({region.blob for member in members for region in member.regions if region.blob})
        results = self._decoder.masks([self._blobs.path(sha) for sha in shas]) if shas else []
        return dict(zip(shas, results, strict=True))


def regions_of(member: Member, masks: dict[str, DecodeResult] | None) -> tuple[Region, ...]:
    """Raises InvalidAnnotation for a mask that cannot be decoded or is not as large as the picture.

    Without `masks` these have no runs: for an input that is only counted, by the concepts that it was to show.
    """
    made = [
        region
        for one in member.regions
        for concept, value in one.labels.items()
        if value
        for region in [_region(one, concept, member, masks)]
    ]
    return tuple(_parts_together(made))


def _region(marked: Marked, concept: str, member: Member, masks: dict[str, DecodeResult] | None) -> Region:
    if marked.kind == "mask":
        runs = _runs(marked.blob, member, masks) if masks is not None else ()
        return Region("mask", concept, runs=runs, group=marked.group)
    if marked.kind == "span":
        return Region("span", concept, tuple(int(place) for place in marked.points), group=marked.group)
    points = tuple(round(value, DECIMALS) for value in marked.points)
    return Region(marked.kind, concept, points, group=marked.group)


def _runs(blob: str, member: Member, masks: dict[str, DecodeResult]) -> tuple[int, ...]:
    found = masks[blob]
    if not found.ok:
        raise InvalidAnnotation(f"a mask cannot be decoded: {found.details}")
    if found.sha256 != blob:
        raise InvalidAnnotation(f"the stored mask {blob} no longer holds what its name says; send it again")
    if (found.width, found.height) != (member.width, member.height):
        size = f"{found.width}x{found.height} pixels, the picture {member.width}x{member.height}"
        raise InvalidAnnotation(f"a mask is {size}")
    return tuple(found.runs)


def _parts_together(regions: Sequence[Region]) -> list[Region]:
    """Parts of one object follow each other, of every concept that it has: then formats can tell them apart."""
    first: dict[tuple[int, str], int] = {}
    for number, region in enumerate(regions):
        first.setdefault((region.group, region.concept), number)
    order = [first[region.group, region.concept] if region.group else n for n, region in enumerate(regions)]
    return [regions[number] for number in sorted(range(len(regions)), key=order.__getitem__)]
