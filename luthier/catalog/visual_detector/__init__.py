"""Pictures -> boxes with concepts. One template per file; `luthier_tiny_detector` is the smallest."""

from luthier.catalog import type_fields
from luthier.catalog.model_type import Field, ModelType

MODEL_TYPE = ModelType(
    id="visual-detector",
    title="Visual Detector",
    description="Finds concepts in a picture and draws a box around each",
    input_fields=("image",),
    output_fields=("regions[...].data.concepts", "regions[...].region_info.bounding_box"),
    evaluation_type="Detection",
    fields=(
        *type_fields.TRAINING,
        Field(
            path="output_info.params.detection_threshold",
            kind="NUMBER",
            default=0.0,
            description="Boxes whose concept scores below this are left out of a prediction",
        ),
    ),
)
