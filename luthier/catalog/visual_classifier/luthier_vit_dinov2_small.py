"""DINOv2's small vision transformer (Oquab et al. 2023): self-supervised features that suit small data sets."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_vit_dinov2_small",
    model_type="visual-classifier",
    description="Small vision transformer with DINOv2's self-supervised features; a good start where labels are few",
    recipe="image_classification",
    backbone="timm/vit_small_patch14_dinov2.lvd142m",
    weights=translation.unless_none("timm/vit_small_patch14_dinov2.lvd142m"),
    plan=translation.own_plan,
    gflops=12.2,
    gflops_at=cost.of_vision_transformer(width=384, depth=12, patch=14),
    parameters_m=21.6,
    strategies=True,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.square_image_size(224, multiple=14),
        vocabulary.batch_size(32, most=256),
        vocabulary.num_epochs(20, most=600),
        vocabulary.learning_rate(0.0005),
        vocabulary.weight_decay(0.05),
        vocabulary.warmup_iters(100),
        vocabulary.trainable_layers(),
        vocabulary.backbone_learning_rate_multiplier(0.05),
        vocabulary.label_smoothing(0.1),
        vocabulary.early_stopping_epochs(),
        vocabulary.flip_probability(0.5),
        vocabulary.flip_direction(),
        vocabulary.crop_scale_min(0.35),
        vocabulary.shift_fraction(0.0),
        vocabulary.rotate_degrees(0.0),
        vocabulary.random_augment(5),
        vocabulary.mixup_alpha(0.0),
        vocabulary.cutmix_alpha(0.0),
        vocabulary.concepts_mutually_exclusive(True),
        vocabulary.pretrained_weights("DINOv2"),
    ),
)
