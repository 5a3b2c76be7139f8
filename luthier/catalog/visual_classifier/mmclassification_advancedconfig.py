"""A user's own configuration in OpenMMLab's dialect. Listed, and refused until the reader of such texts exists."""

from luthier.catalog import cost, vocabulary
from luthier.catalog.template import Template

CONFIG = """\
_base_ = '/mmclassification/configs/resnext/resnext101-32x4d_8xb32_in1k.py'
model = dict(head=dict(num_classes=0))
data = dict(
    train=dict(data_prefix='', ann_file='', classes=''),
    val=dict(data_prefix='', ann_file='', classes=''))
runner = dict(type='EpochBasedRunner', max_epochs=60)
"""

TEMPLATE = Template(
    id="MMClassification_AdvancedConfig",
    model_type="visual-classifier",
    description="Your own configuration in the dialect of MMClassification",
    aliases=("MMClassification",),
    cannot_train="this version of Luthier does not read own configurations yet; take a template without custom_config",
    gflops=32.6,
    gflops_at=cost.by_area(32.6, 320),
    parameters_m=44.2,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.custom_config(CONFIG),
        vocabulary.concepts_mutually_exclusive(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(
            320, "Size of the pictures in prediction: one number is the shorter side, two are width and height"
        ),
    ),
)
