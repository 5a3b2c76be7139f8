"""What the engine is told to do with texts. Next: `plan`, whose fields it has too."""

from dataclasses import dataclass

from luthier.catalog.plan import Plan


@dataclass(frozen=True)
class TextPlan(Plan):
    """Plan of the families that read texts."""

    max_tokens: int = 128  # of one text, special ones counted; what is longer is cut at its end
    mutually_exclusive: bool = True  # True: softmax and cross entropy; False: a sigmoid per concept
    pooling: str = "mean"  # of the last hidden states: mean, or the last token's (decoders)
    dropout: float = 0.1  # before the head
