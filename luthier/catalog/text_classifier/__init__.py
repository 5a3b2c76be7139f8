"""Texts -> concepts. One template per file."""

from luthier.catalog import type_fields
from luthier.catalog.model_type import ModelType

MODEL_TYPE = ModelType(
    id="text-classifier",
    title="Text Classifier",
    description="Says which concepts a text is about",
    input_fields=("text",),
    output_fields=("concepts",),
    evaluation_type="Classification",
    fields=(*type_fields.TRAINING, type_fields.SELECT_CONCEPTS),
)
