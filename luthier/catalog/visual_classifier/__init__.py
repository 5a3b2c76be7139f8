"""Pictures -> concepts. One template per file; `luthier_tiny_resnet` is one to read first."""

from luthier.catalog import type_fields
from luthier.catalog.model_type import ModelType

MODEL_TYPE = ModelType(
    id="visual-classifier",
    title="Visual Classifier",
    description="Says which concepts a picture shows",
    input_fields=("image",),
    output_fields=("concepts",),
    evaluation_type="Classification",
    fields=(
        *type_fields.TRAINING,
        type_fields.MAX_CONCEPTS,
        type_fields.MIN_VALUE,
        type_fields.SELECT_CONCEPTS,  # last: the published Python client keeps only the last prediction setting
    ),
)
