"""The older name of Clarifai_ResNext, whose hyperparameters it has."""

from dataclasses import replace

from luthier.catalog.visual_embedder import clarifai_resnext

TEMPLATE = replace(
    clarifai_resnext.TEMPLATE,
    id="classification_basemodel_v1_embed",
    description="Older form of Clarifai_ResNext",
    internal=True,
)
