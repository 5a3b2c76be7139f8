"""The older name of Clarifai_ResNet_AngularMargin, whose hyperparameters it has."""

from dataclasses import replace

from luthier.catalog.visual_embedder import clarifai_resnet_angularmargin

TEMPLATE = replace(
    clarifai_resnet_angularmargin.TEMPLATE,
    id="classification_angular_margin_embed",
    description="Older form of Clarifai_ResNet_AngularMargin",
    internal=True,
)
