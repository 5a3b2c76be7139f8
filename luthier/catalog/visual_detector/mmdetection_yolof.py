"""YOLOF, one feature level of a ResNet-50 (Chen et al. 2021)."""

from luthier.catalog import cost, detection, translation, vocabulary
from luthier.catalog.hyperparameters import Boolean, Number, Range
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="MMDetection_YoloF",
    model_type="visual-detector",
    description="YOLOF on one feature level of a ResNet-50: light and quick",
    aliases=("MMDetection_YOLOF",),
    recipe="object_detection",
    backbone="yolof:timm/resnet50",
    plan=detection.yolof_plan,
    weights=translation.unless_none("timm/resnet50.tv_in1k"),
    gflops=42.3,
    gflops_at=cost.by_area(42.3, 512),
    parameters_m=44.1,
    strategies=True,
    without=("label_smoothing",),
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(512),
        Range(
            name="max_aspect_ratio",
            default=1.5,
            min=1.0,
            max=5.0,
            description="Largest ratio of longer to shorter side where the aspect ratio is kept",
        ),
        Boolean(
            name="keep_aspect_ratio",
            default=True,
            description="Scale pictures without distorting them",
        ),
        vocabulary.batch_size(16, most=32),
        vocabulary.num_epochs(100, most=200),
        Number(
            name="min_samples_per_epoch",
            default=300,
            min=0,
            max=1_000_000_000,
            whole=True,
            description="Examples that an epoch has at least; a smaller data set is repeated",
        ),
        vocabulary.per_item_lrate(0.001875),
        vocabulary.pretrained_weights("coco"),
        Range(
            name="frozen_stages",
            default=1,
            min=1,
            max=4,
            step=1,
            description="First stages of the backbone that stay as they are",
        ),
    ),
)
