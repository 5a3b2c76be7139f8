"""k-means on the vectors of MiniLM, a sentence encoder (Wang et al. 2020; Reimers and Gurevych 2019)."""

from luthier.catalog import clusters, embedders

TEMPLATE = clusters.template(
    "luthier_text_clusters",
    embedders.MINILM,
    "Groups texts whose vectors lie near each other, by MiniLM and k-means; no labels are needed",
)
