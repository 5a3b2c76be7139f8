"""A head on the vectors of MiniLM, a sentence encoder (Wang et al. 2020; Reimers and Gurevych 2019)."""

from luthier.catalog import embedders, transfer

TEMPLATE = transfer.template(
    "luthier_text_transfer",
    embedders.MINILM,
    "A head on MiniLM's vectors of texts, which stay as they are; trains within seconds once they are computed",
)
