"""Vectors -> concepts. One template per file; `transfer` is what they share."""

from luthier.catalog import type_fields
from luthier.catalog.model_type import Field, ModelType

MODEL_TYPE = ModelType(
    id="embedding-classifier",
    title="Transfer Learn",
    description="Says which concepts fit, from the vectors that an embedding model makes",
    input_fields=("embeddings",),
    output_fields=("concepts",),
    evaluation_type="Classification",
    fields=(
        type_fields.DATASET,
        type_fields.DATASET_VERSION,
        type_fields.CONCEPTS,
        Field(
            path="train_info.params.enrich_dataset",
            kind="ENUM",
            default="Automatic",
            options=("Automatic", "Disabled"),
            description="Whether ready-made negative examples join the training data",
        ),
        Field(
            path="train_info.params.base_embed_model",
            kind="WORKFLOW_EMBED_MODELS",
            description="Embedding model whose vectors are classified",
        ),
        Field(
            path="output_info.output_config.concepts_mutually_exclusive",
            kind="BOOLEAN",
            default=False,
            description="true: exactly one concept fits each input (softmax); false: any number may fit (sigmoid)",
        ),
        type_fields.MIN_VALUE,
    ),
)
