"""Pre-trained networks whose vectors a transfer learns from; users train others. Next: `transfer`."""

from dataclasses import dataclass

from luthier.catalog.plan import EmbeddingPlan, Plan
from luthier.catalog.text_plan import TextPlan


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """A network that turns inputs into vectors of length 1, used as it is.

    `reads` is the kind of input: image, text. `recipe` and `plan` say how the engine asks it; what a plan says of
    training does not matter here. `gflops` is the cost of one input.
    """

    reads: str
    recipe: str
    backbone: str
    weights: str
    plan: Plan
    gflops: float
    parameters_m: float


MINILM = Embedder(
    reads="text",
    recipe="text_embedding",
    backbone="transformers/bert",
    weights="sentence-transformers/all-MiniLM-L6-v2",
    plan=TextPlan(epochs=0, batch_size=1, learning_rate=0.0, max_tokens=256),
    gflops=1.4,  # of 64 tokens
    parameters_m=22.7,
)
DINOV2_SMALL = Embedder(
    reads="image",
    recipe="image_embedding",
    backbone="timm/vit_small_patch14_dinov2.lvd142m",
    weights="timm/vit_small_patch14_dinov2.lvd142m",
    plan=EmbeddingPlan(epochs=0, batch_size=1, learning_rate=0.0, image_size=224, resize="shorter_side"),
    gflops=12.2,
    parameters_m=21.6,
)
