"""What is told of a frozen version: inputs, labels and regions, by concept and by split. Next: `snapshot_job`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from luthier.runs.manifest import SPLITS
from luthier.store.regions import Marked
from luthier.store.snapshots import Member

KINDS = {"box": "boxes", "polygon": "polygons", "point": "points", "mask": "masks", "span": "spans"}


@dataclass
class Counts:
    """`unlabeled_inputs` have neither label nor region; tags are positive labels of inputs, and of regions.

    `per_concept`: inputs with a positive and a negative label of it; where regions carry it, also `region_inputs`,
    `regions_only` (of these, inputs without a label of it) and the regions by kind. `per_input`: by kind, how many
    inputs have that many regions of it.
    """

    inputs: int = 0
    unlabeled_inputs: int = 0
    positive_tags: int = 0
    invalid: int = 0
    regions: int = 0
    region_inputs: int = 0
    positive_region_tags: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    per_concept: dict[str, dict[str, int]] = field(default_factory=dict)
    per_input: dict[str, dict[str, int]] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))

    def add(self, member: Member) -> None:
        self.inputs += 1
        self.unlabeled_inputs += not member.labels and not member.regions
        for concept, value in member.labels.items():
            self._of(concept)["positive" if value else "negative"] += 1
            self.positive_tags += bool(value)
        if member.regions:
            self._add_regions(member)

    def _add_regions(self, member: Member) -> None:
        self.regions += len(member.regions)
        self.region_inputs += 1
        for kind, number in _counted(KINDS[region.kind] for region in member.regions).items():
            self.kinds[kind] = self.kinds.get(kind, 0) + number
            inputs = self.per_input.setdefault(kind, {})
            inputs[str(number)] = inputs.get(str(number), 0) + 1
        for concept in sorted({concept for region in member.regions for concept in _positive(region)}):
            row = self._of(concept)
            row["region_inputs"] = row.get("region_inputs", 0) + 1
            row["regions_only"] = row.get("regions_only", 0) + (concept not in member.labels)
        for region in member.regions:
            for concept in _positive(region):
                self.positive_region_tags += 1
                row, kind = self._of(concept), KINDS[region.kind]
                row[kind] = row.get(kind, 0) + 1

    def _of(self, concept: str) -> dict[str, int]:
        return self.per_concept.setdefault(concept, {"positive": 0, "negative": 0})


def _positive(region: Marked) -> list[str]:
    return [concept for concept, value in region.labels.items() if value]


def _counted(kinds: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for kind in kinds:
        found[kind] = found.get(kind, 0) + 1
    return found
