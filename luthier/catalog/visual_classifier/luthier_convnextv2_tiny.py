"""ConvNeXt V2 tiny (Woo et al. 2023): a strong modern backbone whose published weights are for non-commercial use."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_convnextv2_tiny",
    model_type="visual-classifier",
    description="ConvNeXt V2 tiny, pre-trained on ImageNet-22k. Weights licensed CC-BY-NC 4.0: no commercial use",
    recipe="image_classification",
    backbone="timm/convnextv2_tiny.fcmae_ft_in22k_in1k",
    weights=translation.unless_none("timm/convnextv2_tiny.fcmae_ft_in22k_in1k"),
    plan=translation.own_plan,
    gflops=8.91,
    gflops_at=cost.by_area(8.91, 224),
    parameters_m=27.9,
    strategies=True,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.square_image_size(224, multiple=32),
        vocabulary.batch_size(32, most=256),
        vocabulary.num_epochs(20, most=600),
        vocabulary.learning_rate(0.0005),
        vocabulary.weight_decay(0.05),
        vocabulary.warmup_iters(100),
        vocabulary.trainable_layers(),
        vocabulary.backbone_learning_rate_multiplier(0.1),
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
        vocabulary.pretrained_weights("ImageNet-22k"),
    ),
)
