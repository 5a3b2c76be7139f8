"""SSD with a VGG-16 backbone (Liu et al. 2016)."""

from luthier.catalog import cost, detection, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="MMDetection_SSD",
    model_type="visual-detector",
    description="SSD with a VGG-16 backbone, one stage: quick",
    recipe="object_detection",
    backbone="ssd:timm/vgg16",
    plan=lambda values: detection.published_plan(
        values, weight_decay=5e-4, scale_min=0.5, scale_max=1.5, color_jitter=0.3
    ),
    weights=translation.unless_none("timm/vgg16.tv_in1k"),
    gflops=203.1,
    gflops_at=cost.by_area(203.1, 512),
    parameters_m=36.0,
    strategies=True,
    without=("stochastic_depth", "label_smoothing"),
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(512),
        vocabulary.batch_size(8, most=32),
        vocabulary.num_epochs(30, most=200),
        vocabulary.per_item_lrate(3.125e-05),
        vocabulary.pretrained_weights("coco"),
    ),
)
