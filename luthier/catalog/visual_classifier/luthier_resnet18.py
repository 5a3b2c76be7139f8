"""ResNet-18 (He et al. 2016): the smallest of the well-known residual networks, for machines without a large GPU."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_resnet18",
    model_type="visual-classifier",
    description="ResNet-18, pre-trained on ImageNet-1k: small enough for a processor",
    recipe="image_classification",
    backbone="timm/resnet18.a1_in1k",
    weights=translation.unless_none("timm/resnet18.a1_in1k"),
    plan=translation.own_plan,
    gflops=3.63,
    gflops_at=cost.by_area(3.63, 224),
    parameters_m=11.2,
    strategies=True,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.square_image_size(224),
        vocabulary.batch_size(32, most=512),
        vocabulary.num_epochs(20, most=600),
        vocabulary.learning_rate(0.001),
        vocabulary.weight_decay(0.05),
        vocabulary.warmup_iters(50),
        vocabulary.trainable_layers(),
        vocabulary.backbone_learning_rate_multiplier(0.3),
        vocabulary.label_smoothing(0.1),
        vocabulary.early_stopping_epochs(),
        vocabulary.flip_probability(0.5),
        vocabulary.flip_direction(),
        vocabulary.crop_scale_min(0.5),
        vocabulary.shift_fraction(0.0),
        vocabulary.rotate_degrees(0.0),
        vocabulary.random_augment(0),
        vocabulary.mixup_alpha(0.0),
        vocabulary.cutmix_alpha(0.0),
        vocabulary.concepts_mutually_exclusive(True),
        vocabulary.pretrained_weights("ImageNet-1k"),
    ),
)
