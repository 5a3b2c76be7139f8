"""A user's own configuration in MMSegmentation's dialect, read and never executed. Next: `own_config/segmenter`."""

from luthier.catalog import vocabulary
from luthier.catalog.own_config.segmenter import understood
from luthier.catalog.own_config.training import Understood
from luthier.catalog.template import Template, Values

CONFIG = """\
_base_ = '/mmsegmentation/configs/segformer/segformer_mit-b0_512x512_160k_ade20k.py'
model = dict(decode_head=dict(num_classes=0))
data = dict(
    train=dict(img_dir='', ann_dir='', classes=''),
    val=dict(img_dir='', ann_dir='', classes=''))
runner = dict(type='EpochBasedRunner', max_epochs=60)
"""


def read(values: Values) -> Understood:
    return understood(values["custom_config"], tuple(values["image_size"]))


TEMPLATE = Template(
    id="MMSegmentation_AdvancedConfig",
    model_type="visual-segmenter",
    description="Your own configuration in the dialect of MMSegmentation",
    aliases=("MMSegmentation",),
    recipe="semantic_segmentation",
    backbone="segformer",
    backbone_at=lambda values: read(values).backbone,
    weights=lambda values: read(values).weights,
    plan=lambda values: read(values).plan,
    gflops=16.7,
    gflops_at=lambda values: read(values).gflops,
    parameters_m=3.8,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.custom_config(CONFIG),
        vocabulary.num_gpus(),
        vocabulary.prediction_size(520),
    ),
)
