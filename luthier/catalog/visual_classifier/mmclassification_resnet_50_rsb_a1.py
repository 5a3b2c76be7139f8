"""ResNet-50 with the A1 recipe of "ResNet strikes back" (Wightman et al. 2021, table 2); start with this on a GPU."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.hyperparameters import Number
from luthier.catalog.plan import ImagePlan
from luthier.catalog.template import Template, Values


def plan(values: Values) -> ImagePlan:
    """LAMB along a cosine from batch_size x per_item_lrate to batch_size x per_item_min_lrate, A1's augmentation."""
    lowest = min(values["per_item_min_lrate"], values["per_item_lrate"])
    note = "per_item_min_lrate is above per_item_lrate: the learning rate stays level"
    return ImagePlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["batch_size"] * values["per_item_lrate"],
        final_learning_rate=values["batch_size"] * lowest,
        optimizer="lamb",
        weight_decay=values["weight_decay"],
        warmup_steps=values["warmup_iters"],
        warmup_ratio=values["warmup_ratio"],
        label_smoothing=0.1,
        notes=(note,) if lowest < values["per_item_min_lrate"] else (),
        image_size=values["image_size"],
        mutually_exclusive=values["concepts_mutually_exclusive"],
        flip_probability=values["flip_probability"],
        flip_direction=values["flip_direction"],
        crop_scale_min=0.08,
        random_augment=7,
        mixup_alpha=0.2,
        cutmix_alpha=1.0,
    )


TEMPLATE = Template(
    id="MMClassification_ResNet_50_RSB_A1",
    model_type="visual-classifier",
    description="ResNet-50 with the A1 recipe of ResNet strikes back: strong augmentation, LAMB, a cosine schedule",
    recommended=True,
    recipe="image_classification",
    backbone="timm/resnet50.a1_in1k",
    weights=translation.unless_none("timm/resnet50.a1_in1k"),
    plan=plan,
    gflops=8.17,
    gflops_at=cost.by_area(8.17, 224),
    parameters_m=23.5,
    strategies=True,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.square_image_size(224),
        vocabulary.batch_size(64, most=256),
        vocabulary.num_epochs(60, most=600),
        vocabulary.per_item_lrate(1.953125e-05),
        vocabulary.weight_decay(0.01),
        Number(
            name="per_item_min_lrate",
            default=1.5625e-08,
            min=0,
            max=1,
            description="Learning rate per example where the cosine ends; times batch_size like the first one",
        ),
        vocabulary.warmup_iters(100),
        Number(
            name="warmup_ratio",
            default=0.0001,
            min=0,
            max=1,
            description="Share of the full learning rate that warm-up begins with",
        ),
        vocabulary.pretrained_weights("ImageNet-1k"),
        vocabulary.flip_probability(),
        vocabulary.flip_direction(),
        vocabulary.concepts_mutually_exclusive(),
    ),
)
