"""A small pyramid: trains on a processor within minutes, needs no weights."""

from luthier.catalog import cost, segmentation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_tiny_segmenter",
    model_type="visual-segmenter",
    description="Small segmenter for a processor: trains within minutes and needs no weights",
    recipe="semantic_segmentation",
    backbone="luthier/tiny_segmenter",
    plan=segmentation.own_plan,
    gflops=0.5,
    gflops_at=cost.by_area(0.5, 192),
    parameters_m=0.8,
    strategies=True,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(192),
        vocabulary.batch_size(8, most=256),
        vocabulary.num_epochs(30, most=600),
        vocabulary.learning_rate(0.002),
        vocabulary.weight_decay(0.01),
        vocabulary.warmup_iters(30),
        vocabulary.trainable_layers(),
        vocabulary.early_stopping_epochs(),
        vocabulary.flip_probability(0.5),
        vocabulary.flip_direction(),
        vocabulary.zoom(0.3),
        vocabulary.shift_fraction(0.1),
        vocabulary.color_jitter(0.3),
        vocabulary.pretrained_weights(),
    ),
)
