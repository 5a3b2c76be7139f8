"""Pictures -> vectors. One template per file."""

from luthier.catalog import type_fields
from luthier.catalog.model_type import ModelType

MODEL_TYPE = ModelType(
    id="visual-embedder",
    title="Visual Embedder",
    description="Turns a picture into a vector that lies near the vectors of similar pictures",
    input_fields=("image",),
    output_fields=("embeddings",),
    evaluation_type="Undefined",
    fields=type_fields.TRAINING,
)
