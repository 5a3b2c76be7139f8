"""What the engine is told to do with texts. Next: `plan`, whose fields it has too; `text_translation` makes one."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from luthier.catalog.plan import Plan


@dataclass(frozen=True)
class LanguagePlan(Plan):
    """Plan of the families that stand on a language model.

    With an `adapter` the base model stays as it is, may be held in fewer bits, and is no part of a checkpoint.
    """

    max_tokens: int = 128  # of one text, special ones counted; what is longer is cut
    cut_at: str = "end"  # where a longer text loses its tokens: end, start
    adapter: dict[str, Any] = field(default_factory=dict)  # words of peft_config; {}: the model itself is trained
    base_precision: str = "float32"  # of a base model that stays as it is: float32, bfloat16, float16
    base_quantization: dict[str, Any] = field(default_factory=dict)  # words of quantization_config; {}: not quantised


@dataclass(frozen=True)
class TextPlan(LanguagePlan):
    """Plan of the family that tells texts apart."""

    mutually_exclusive: bool = True  # True: softmax and cross entropy; False: a sigmoid per concept
    pooling: str = "auto"  # of the last hidden states: mean, last (of the last token), auto (last for a decoder)
    learn_word_embeddings: bool = True  # with the rest of the body, where that learns
    dropout: float = 0.1  # before the layer that maps to concepts
    head_hidden_layers: int = 0  # between the text's vector and the layer that maps to concepts
    head_hidden_width: int = 512
    class_weights: str = "none"  # none, or balanced: an example counts for more where its concept is rare
    feature_cache: str = "auto"  # auto, on: a frozen body reads each text once, not in every epoch; off
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "macro_roc_auc", "loss")
