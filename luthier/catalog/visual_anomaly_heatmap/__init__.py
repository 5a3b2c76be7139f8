"""Pictures -> heatmaps of what is unusual, learnt from good pictures. `luthier_tiny_patchcore` is the smallest."""

from luthier.catalog import type_fields
from luthier.catalog.model_type import ModelType

MODEL_TYPE = ModelType(
    id="visual-anomaly-heatmap",
    title="Visual Anomaly",
    description="Says how unusual a picture is, and where in it",
    input_fields=("image",),
    output_fields=("heatmaps", "concepts"),
    evaluation_type="Undefined",
    fields=type_fields.TRAINING,
)
