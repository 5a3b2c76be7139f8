"""A head on DINOv2's vectors of pictures (Oquab et al. 2023), or of an embedder trained in the app."""

from luthier.catalog import embedders, transfer

TEMPLATE = transfer.template(
    "luthier_image_transfer",
    embedders.DINOV2_SMALL,
    "A head on DINOv2's vectors of pictures, or those of a trained visual-embedder; they stay as they are",
)
