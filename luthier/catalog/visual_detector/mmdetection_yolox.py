"""YOLOX-s (Ge et al. 2021). Only its name is documented; the hyperparameters are those of its siblings."""

from luthier.catalog import cost, detection, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="MMDetection_YOLOX",
    model_type="visual-detector",
    description="YOLOX-s, anchor-free: small and quick",
    recipe="object_detection",
    backbone="luthier/yolox_s",
    plan=detection.yolox_plan,
    gflops=26.8,
    gflops_at=cost.by_area(26.8, 640),
    parameters_m=9.0,
    strategies=True,
    without=("stochastic_depth", "label_smoothing"),
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(640),
        vocabulary.batch_size(8, most=32),
        vocabulary.num_epochs(30, most=200),
        vocabulary.per_item_lrate(0.00015625),
        vocabulary.pretrained_weights(),
    ),
)
