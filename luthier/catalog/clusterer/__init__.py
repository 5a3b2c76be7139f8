"""Vectors -> groups. It has neither templates nor fields."""

from luthier.catalog.model_type import ModelType

MODEL_TYPE = ModelType(
    id="clusterer",
    title="Clusterer",
    description="Groups inputs whose vectors lie near each other",
    input_fields=("embeddings",),
    output_fields=("clusters",),
    evaluation_type="Clustering",
    fields=(),
)
