"""Texts -> texts. One template per file."""

from luthier.catalog import type_fields
from luthier.catalog.model_type import ModelType

MODEL_TYPE = ModelType(
    id="text-to-text",
    title="Text Generator",
    description="Goes on from a text",
    input_fields=("text",),
    output_fields=("text",),
    evaluation_type="Generation",
    fields=(
        type_fields.DATASET,
        type_fields.DATASET_VERSION,
        type_fields.INVALID_DATA_TOLERANCE,
        type_fields.TEMPLATE,
    ),
)
