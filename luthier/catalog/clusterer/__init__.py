"""Vectors -> groups. One template per file; `clusters` is what they share."""

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
