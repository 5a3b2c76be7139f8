"""A small detector without anchors: trains on a processor within minutes, needs no weights."""

from luthier.catalog import cost, detection, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_tiny_detector",
    model_type="visual-detector",
    description="Small detector for a processor: trains within minutes and needs no weights",
    recipe="object_detection",
    backbone="luthier/tiny_detector",
    plan=detection.own_plan,
    gflops=0.68,
    gflops_at=cost.by_area(0.68, 240),
    parameters_m=0.9,
    strategies=True,
    without=("label_smoothing",),
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(240),
        vocabulary.batch_size(8, most=256),
        vocabulary.num_epochs(30, most=600),
        vocabulary.learning_rate(0.002),
        vocabulary.weight_decay(0.01),
        vocabulary.warmup_iters(50),
        vocabulary.trainable_layers(),
        vocabulary.early_stopping_epochs(),
        vocabulary.flip_probability(0.5),
        vocabulary.flip_direction(),
        vocabulary.zoom(0.4),
        vocabulary.shift_fraction(0.1),
        vocabulary.color_jitter(0.3),
        vocabulary.mosaic_probability(0.5),
        vocabulary.pretrained_weights(),
    ),
)
