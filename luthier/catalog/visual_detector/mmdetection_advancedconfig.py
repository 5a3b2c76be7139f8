"""A user's own configuration in MMDetection's dialect, read and never executed. Next: `own_config/detector`."""

from luthier.catalog import vocabulary
from luthier.catalog.own_config.detector import understood
from luthier.catalog.own_config.training import Understood
from luthier.catalog.template import Template, Values

CONFIG = """\
_base_ = '/mmdetection/configs/yolof/yolof_r50_c5_8x8_1x_coco.py'
model = dict(bbox_head=dict(num_classes=0))
train_pipeline = [
    dict(type='Resize', img_scale=(533, 320), keep_ratio=True),
    dict(type='RandomFlip', flip_ratio=0.5)]
data = dict(
    train=dict(img_prefix='', ann_file='', classes='', pipeline=train_pipeline),
    val=dict(img_prefix='', ann_file='', classes=''))
lr_config = dict(step=[40, 55])
runner = dict(type='EpochBasedRunner', max_epochs=60)
"""


def read(values: Values) -> Understood:
    return understood(values["custom_config"], tuple(values["image_size"]))


TEMPLATE = Template(
    id="MMDetection_AdvancedConfig",
    model_type="visual-detector",
    description="Your own configuration in the dialect of MMDetection",
    aliases=("MMDetection",),
    recipe="object_detection",
    backbone="yolof:timm/resnet50",
    backbone_at=lambda values: read(values).backbone,
    weights=lambda values: read(values).weights,
    plan=lambda values: read(values).plan,
    gflops=20.8,
    gflops_at=lambda values: read(values).gflops,
    parameters_m=44.1,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.custom_config(CONFIG),
        vocabulary.num_gpus(),
        vocabulary.prediction_size(320),
    ),
)
