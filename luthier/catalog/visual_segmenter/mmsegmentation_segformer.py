"""SegFormer-B0 (Xie et al. 2021). Declared; it does not train yet."""

from luthier.catalog import cost, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="MMSegmentation_SegFormer",
    model_type="visual-segmenter",
    description="SegFormer-B0, a light transformer that labels every pixel",
    cannot_train="this version of Luthier does not train segmenters yet",
    gflops=17.3,
    gflops_at=cost.by_area(17.3, 520),
    parameters_m=3.8,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(520),
        vocabulary.batch_size(2, most=16),
        vocabulary.num_epochs(1, most=200),
        vocabulary.per_item_lrate(7.5e-06),
        vocabulary.pretrained_weights("ade20k"),
    ),
)
