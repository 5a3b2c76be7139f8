"""Faster R-CNN with a ResNet-50 feature pyramid (Ren et al. 2015, Lin et al. 2017)."""

from luthier.catalog import cost, detection, translation, vocabulary
from luthier.catalog.hyperparameters import ArrayOfNumbers
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="MMDetection_FasterRCNN",
    model_type="visual-detector",
    description="Faster R-CNN with a ResNet-50 feature pyramid, two stages: accurate boxes",
    recipe="object_detection",
    backbone="faster_rcnn:timm/resnet50",
    plan=lambda values: detection.published_plan(values, frozen_stages=1, **detection.scales(values)),
    weights=translation.unless_none("timm/resnet50.tv_in1k"),
    gflops=268.8,
    gflops_at=cost.by_area(268.8, 800),
    parameters_m=41.8,
    strategies=True,
    without=("label_smoothing",),
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(800),
        ArrayOfNumbers(
            name="random_resize_lower",
            default=(),
            min=32,
            max=4096,
            max_length=2,
            whole=True,
            description="Smallest size that training pictures are scaled to at random; empty: image_size",
        ),
        ArrayOfNumbers(
            name="random_resize_upper",
            default=(),
            min=32,
            max=4096,
            max_length=2,
            whole=True,
            description="Largest size that training pictures are scaled to at random; empty: image_size",
        ),
        vocabulary.batch_size(8, most=32),
        vocabulary.num_epochs(30, most=200),
        vocabulary.per_item_lrate(0.00125),
        vocabulary.pretrained_weights("coco"),
    ),
)
