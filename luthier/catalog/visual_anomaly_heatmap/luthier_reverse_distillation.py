"""Reverse distillation (Deng and Li 2022): a student rebuilds a teacher's maps, of good pictures alone."""

from luthier.catalog import anomaly, cost, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_reverse_distillation",
    model_type="visual-anomaly-heatmap",
    description="Reverse distillation on ResNet-18: a student learns good pictures; quick and small in prediction",
    recipe="anomaly_heatmap",
    backbone="timm/resnet18.tv_in1k",
    weights=translation.unless_none("timm/resnet18.tv_in1k"),
    plan=anomaly.distillation_plan,
    gflops=13.5,
    gflops_at=cost.by_area(13.5, 256),
    parameters_m=23.0,
    strategies=True,
    without=(
        "trainable_layers",
        "unfreeze_every_epochs",
        "backbone_multiplier",
        "layer_decay",
        "label_smoothing",
        "balanced_sampling",
        "gradient_checkpointing",
    ),
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.square_image_size(256, multiple=32),
        vocabulary.batch_size(16, most=256),
        vocabulary.num_epochs(100, most=600),
        vocabulary.learning_rate(0.002),
        vocabulary.weight_decay(0.0),
        vocabulary.warmup_iters(50),
        vocabulary.early_stopping_epochs(),
        anomaly.good_concept(),
        anomaly.good_quantile(),
        vocabulary.pretrained_weights("ImageNet-1k"),
    ),
)
