"""A user's own configuration in MMSegmentation's dialect. Listed, and refused until the reader of such texts exists."""

from luthier.catalog import cost, vocabulary
from luthier.catalog.template import Template

CONFIG = """\
_base_ = '/mmsegmentation/configs/segformer/segformer_mit-b0_8x1_1024x1024_160k_cityscapes.py'
model = dict(decode_head=dict(num_classes=0))
data = dict(
    train=dict(img_dir='', ann_dir='', classes=''),
    val=dict(img_dir='', ann_dir='', classes=''))
runner = dict(type='EpochBasedRunner', max_epochs=60)
"""

TEMPLATE = Template(
    id="MMSegmentation_AdvancedConfig",
    model_type="visual-segmenter",
    description="Your own configuration in the dialect of MMSegmentation",
    aliases=("MMSegmentation",),
    cannot_train="this version of Luthier does not read own configurations yet",
    gflops=17.3,
    gflops_at=cost.by_area(17.3, 520),
    parameters_m=3.8,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.custom_config(CONFIG),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(
            520, "Size of the pictures in prediction: one number is the shorter side, two are width and height"
        ),
    ),
)
