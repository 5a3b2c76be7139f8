"""k-means on DINOv2's vectors of pictures (Oquab et al. 2023), or on those of an embedder trained in the app."""

from luthier.catalog import clusters, embedders

TEMPLATE = clusters.template(
    "luthier_image_clusters",
    embedders.DINOV2_SMALL,
    "Groups pictures whose vectors lie near each other, by DINOv2 or a trained visual-embedder, and k-means",
)
