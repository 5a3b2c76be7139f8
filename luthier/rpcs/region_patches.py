"""The wire's three ways of patching the regions of an annotation. Next: `annotation_patches`.

A region of the same id is the same region. merge: place, track and concepts that are sent replace or join what is
there; a region that is not there is added. overwrite: the regions that are sent, and no others; one that was there
and is sent without a place keeps it. remove: a region sent with concepts alone loses these, any other goes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from clarifai_grpc.grpc.api.resources_pb2 import Concept, Region

from luthier.errors import InvalidAnnotation, shown
from luthier.rpcs.regions import check_total, kind_of


def patched(current: Sequence[Region], change: Sequence[Region], action: str) -> list[Region]:
    """Raises InvalidAnnotation for a region that is not there and brings no place with it."""
    twice = [id for id, times in Counter(region.id for region in change).items() if times > 1]
    if twice:
        raise InvalidAnnotation(f"data.regions names region {shown(min(twice))!r} twice; send it once")
    there = {region.id: region for region in current}
    if action == "remove":
        return _without(there, change)
    new = {region.id: _joined(there.get(region.id), region, action) for region in change}
    if action == "overwrite":
        return check_total(list(new.values()))
    return check_total([*(new.pop(id, region) for id, region in there.items()), *new.values()])


def _joined(before: Region | None, change: Region, action: str) -> Region:
    if before is None:
        if not kind_of(change):
            raise InvalidAnnotation(f"{_missing(change)}; give its region_info to add it")
        return change
    after = Region()
    after.CopyFrom(before)
    if kind_of(change):
        after.region_info.CopyFrom(change.region_info)
    after.track_id = change.track_id or before.track_id
    if action == "overwrite":
        after.data.CopyFrom(change.data)
        return after
    named = {concept.id for concept in change.data.concepts}
    kept = [concept for concept in before.data.concepts if concept.id not in named]
    return _with_concepts(after, [*kept, *change.data.concepts])


def _without(there: Mapping[str, Region], change: Sequence[Region]) -> list[Region]:
    left = dict(there)
    for region in change:
        before = left.pop(region.id, None)
        if before is None:
            raise InvalidAnnotation(_missing(region))
        if region.data.concepts and not kind_of(region):
            named = {concept.id for concept in region.data.concepts}
            left[region.id] = _with_concepts(before, [one for one in before.data.concepts if one.id not in named])
    return [left[id] for id in there if id in left]


def _with_concepts(region: Region, concepts: Sequence[Concept]) -> Region:
    after = Region()
    after.CopyFrom(region)
    after.data.ClearField("concepts")
    after.data.concepts.extend(concepts)
    return after


def _missing(region: Region) -> str:
    return f"region {shown(region.id)!r} is not in this annotation"
