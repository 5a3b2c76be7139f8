"""A user's own configuration in MMClassification's dialect, read and never executed. Next: `own_config/classifier`."""

from luthier.catalog import vocabulary
from luthier.catalog.own_config.classifier import understood
from luthier.catalog.own_config.training import Understood
from luthier.catalog.template import Template, Values

CONFIG = """\
_base_ = '/mmclassification/configs/resnext/resnext101-32x4d_8xb32_in1k.py'
model = dict(head=dict(num_classes=0))
data = dict(
    train=dict(data_prefix='', ann_file='', classes=''),
    val=dict(data_prefix='', ann_file='', classes=''))
lr_config = dict(step=[30, 50])
runner = dict(type='EpochBasedRunner', max_epochs=60)
"""


def read(values: Values) -> Understood:
    return understood(
        values["custom_config"], tuple(values["image_size"]), exclusive=values["concepts_mutually_exclusive"]
    )


TEMPLATE = Template(
    id="MMClassification_AdvancedConfig",
    model_type="visual-classifier",
    description="Your own configuration in the dialect of MMClassification",
    aliases=("MMClassification",),
    recipe="image_classification",
    backbone="timm/resnext101_32x4d.gluon_in1k",
    backbone_at=lambda values: read(values).backbone,
    weights=lambda values: read(values).weights,
    plan=lambda values: read(values).plan,
    gflops=16.0,
    gflops_at=lambda values: read(values).gflops,
    parameters_m=42.1,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.custom_config(CONFIG),
        vocabulary.concepts_mutually_exclusive(),
        vocabulary.num_gpus(),
        vocabulary.prediction_size(320),
    ),
)
