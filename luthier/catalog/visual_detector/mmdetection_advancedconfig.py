"""A user's own configuration in MMDetection's dialect. Listed, and refused until the reader of such texts exists."""

from luthier.catalog import cost, vocabulary
from luthier.catalog.template import Template

CONFIG = """\
_base_ = '/mmdetection/configs/yolof/yolof_r50_c5_8x8_1x_coco.py'
model = dict(bbox_head=dict(num_classes=0))
data = dict(
    train=dict(img_prefix='', ann_file='', classes=''),
    val=dict(img_prefix='', ann_file='', classes=''))
runner = dict(type='EpochBasedRunner', max_epochs=60)
"""

TEMPLATE = Template(
    id="MMDetection_AdvancedConfig",
    model_type="visual-detector",
    description="Your own configuration in the dialect of MMDetection",
    aliases=("MMDetection",),
    cannot_train="this version of Luthier does not read own configurations yet",
    gflops=16.5,
    gflops_at=cost.by_area(16.5, 320),
    parameters_m=44.1,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.custom_config(CONFIG),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(
            320, "Size of the pictures in prediction: one number is the shorter side, two are width and height"
        ),
    ),
)
