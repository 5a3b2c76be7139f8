"""SegFormer's decoder (Xie et al. 2021) on a Pyramid Vision Transformer v2 (Wang et al. 2022) of size b0 to b2.

The paper's own encoder, the Mix Transformer, is built of the same blocks; its weights may not be used commercially.
"""

from luthier.catalog import segmentation, vocabulary
from luthier.catalog.hyperparameters import Enum
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="MMSegmentation_SegFormer",
    model_type="visual-segmenter",
    description="SegFormer, a light transformer that labels every pixel",
    recipe="semantic_segmentation",
    backbone="segformer",
    plan=segmentation.segformer_plan,
    weights=segmentation.segformer_weights,
    gflops=17.3,
    gflops_at=segmentation.segformer_gflops,
    parameters_m=3.8,
    strategies=True,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(520),
        vocabulary.batch_size(2, most=16),
        vocabulary.num_epochs(1, most=200),
        vocabulary.per_item_lrate(7.5e-06),
        vocabulary.pretrained_weights("ade20k"),
        Enum(
            name="model_size",
            default="b0",
            options=("b0", "b1", "b2"),
            description="Size of the network: b0 has 4 million parameters, b1 14, b2 28",
        ),
    ),
)
