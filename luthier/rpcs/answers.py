"""What a model said of one input -> the `data` of an Output. Next: `outputs`, which asks the model.

The forms that a model process answers in stand at the top of `engine/predict`.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2

from luthier.rpcs.ids import new_id
from luthier.rpcs.prediction_settings import PredictionSettings
from luthier.store.versions import Version


def data_of(found: Mapping[str, Any], version: Version, settings: PredictionSettings) -> resources_pb2.Data:
    """Concepts and regions best first, those left out that the settings do not want; of a video the same per frame."""
    data = resources_pb2.Data()
    concepts: Sequence[Mapping[str, str]] = version.request["concepts"]
    if "values" in found:
        data.concepts.extend(_concept(*one, version) for one in settings.chosen(concepts, found["values"]))
    if "heatmap" in found:
        data.heatmaps.add(base64=base64.b64decode(found["heatmap"]))
    if "text" in found:
        data.text.raw = found["text"]
    if "embedding" in found:
        data.embeddings.add(vector=found["embedding"], num_dimensions=len(found["embedding"]))
    for row in found.get("clusters", ()):
        data.clusters.add(id=row["id"], score=row["value"], count=row["count"])
    for row in found.get("regions", ()):
        concept = concepts[row["concept"]]
        if settings.wants(concept, row["value"]):
            data.regions.append(_region(row, concept, version))
    for row in found.get("frames", ()):
        frame = data.frames.add(data=data_of(row, version, settings))
        frame.frame_info.index, frame.frame_info.time = row["index"], row["time_ms"]
        frame.frame_info.number = row["number"]
    return data


def _concept(concept: Mapping[str, str], value: float, version: Version) -> resources_pb2.Concept:
    return resources_pb2.Concept(
        id=concept["id"], name=concept["name"], value=value, app_id=version.app_id, user_id=version.user_id
    )


def _region(row: Mapping[str, Any], concept: Mapping[str, str], version: Version) -> resources_pb2.Region:
    """A box has fractions of the picture; a mask is a PNG as large as the picture."""
    region = resources_pb2.Region(id=new_id(), value=row["value"])
    region.data.concepts.append(_concept(concept, row["value"], version))
    if "box" in row:
        box = region.region_info.bounding_box
        box.left_col, box.top_row, box.right_col, box.bottom_row = row["box"]
    if "mask" in row:
        region.region_info.mask.image.base64 = base64.b64decode(row["mask"])
    return region
