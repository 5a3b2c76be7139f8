"""What is counted in a frozen dataset version, as the wire's metrics and their groups. Next: `dataset_versions`.

The counts are made when the version is frozen: see `worker/frozen_counts`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.struct_pb2 import Value

Metrics: TypeAlias = resources_pb2.DatasetVersionMetrics
Group: TypeAlias = resources_pb2.DatasetVersionMetricsGroup
_TYPES = resources_pb2.DatasetVersionMetricsGroupType
_KINDS = {  # of regions, and of groups by how many regions of the kind an input has
    "boxes": ("bounding_boxes_count", _TYPES.BOUNDING_BOXES_COUNT),
    "polygons": ("polygons_count", _TYPES.POLYGONS_COUNT),
    "points": ("points_count", _TYPES.POINTS_COUNT),
    "masks": ("masks_count", _TYPES.MASKS_COUNT),
}


def whole_metrics(counts: Mapping[str, Any]) -> Metrics:
    """Of the whole version. The published SDK reads some of the numbers, so they are there even where they are 0."""
    return _metrics(
        counts.get("kinds", {}),
        inputs_count=counts.get("inputs", 0),
        unlabeled_inputs_count=counts.get("unlabeled_inputs", 0),
        regions_count=counts.get("regions", 0),
        region_inputs_count=counts.get("region_inputs", 0),
        positive_input_tags_count=counts.get("positive_tags", 0),
        positive_region_tags_count=counts.get("positive_region_tags", 0),
    )


def groups_of(counts: Mapping[str, Any]) -> Iterator[Group]:
    """The whole as INPUT_TYPE "total", as the SDK expects it, then concepts by id, then inputs by their regions."""
    yield Group(type=_TYPES.INPUT_TYPE, value=Value(string_value="total"), metrics=whole_metrics(counts))
    for id, row in sorted(counts.get("per_concept", {}).items()):
        yield Group(type=_TYPES.CONCEPT_ID, value=Value(string_value=id), metrics=_of_concept(row))
    for kind, (field, type) in _KINDS.items():
        per_input: dict[str, int] = counts.get("per_input", {}).get(kind, {})
        for number, inputs in sorted((int(number), inputs) for number, inputs in per_input.items()):
            metrics = Metrics()
            metrics.inputs_count.value = inputs
            getattr(metrics, field).value = number * inputs
            yield Group(type=type, value=Value(number_value=number), metrics=metrics)


def _of_concept(row: Mapping[str, int]) -> Metrics:
    return _metrics(
        row,
        inputs_count=row.get("positive", 0) + row.get("negative", 0) + row.get("regions_only", 0),
        region_inputs_count=row.get("region_inputs", 0),
        positive_input_tags_count=row.get("positive", 0),
        positive_region_tags_count=sum(row.get(kind, 0) for kind in (*_KINDS, "spans")),
    )


def _metrics(kinds: Mapping[str, int], **numbers: int) -> Metrics:
    metrics = Metrics()
    for kind, (field, _) in _KINDS.items():
        getattr(metrics, field).value = int(kinds.get(kind, 0))
    for name, number in numbers.items():
        getattr(metrics, name).value = int(number)
    return metrics
