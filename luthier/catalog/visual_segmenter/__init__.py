"""Pictures -> masks with concepts. One template per file; `luthier_tiny_segmenter` is the smallest."""

from luthier.catalog import type_fields
from luthier.catalog.model_type import ModelType

MODEL_TYPE = ModelType(
    id="visual-segmenter",
    title="Visual Segmenter",
    description="Says of every pixel of a picture which concept it belongs to",
    input_fields=("image",),
    output_fields=("regions[...].region_info.mask", "regions[...].data.concepts"),
    evaluation_type="Segmentation",
    fields=type_fields.TRAINING,
)
