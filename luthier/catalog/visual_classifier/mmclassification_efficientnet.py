"""EfficientNet-B3 (Tan and Le 2019) for larger pictures, with stochastic gradient descent."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.plan import ImagePlan
from luthier.catalog.template import Template, Values


def plan(values: Values) -> ImagePlan:
    """The documentation gives no schedule; a cosine to zero needs no further hyperparameter."""
    return ImagePlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["batch_size"] * values["per_item_lrate"],
        optimizer="sgd",
        momentum=values["momentum"],
        weight_decay=values["weight_decay"],
        image_size=values["image_size"],
        mutually_exclusive=values["concepts_mutually_exclusive"],
        flip_probability=values["flip_probability"],
        flip_direction=values["flip_direction"],
        crop_scale_min=0.08,
    )


TEMPLATE = Template(
    id="MMClassification_EfficientNet",
    model_type="visual-classifier",
    description="EfficientNet-B3 on larger pictures: few parameters, small batches",
    internal=True,
    recipe="image_classification",
    backbone="timm/efficientnet_b3.ra2_in1k",
    weights=translation.unless_none("timm/efficientnet_b3.ra2_in1k"),
    plan=plan,
    gflops=4.47,
    gflops_at=cost.by_area(4.47, 336),
    parameters_m=10.7,
    strategies=True,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.square_image_size(336),
        vocabulary.batch_size(4, most=256),
        vocabulary.num_epochs(30, most=200),
        vocabulary.per_item_lrate(0.000390625),
        vocabulary.weight_decay(0.0001),
        vocabulary.momentum(),
        vocabulary.pretrained_weights("ImageNet-1k"),
        vocabulary.flip_probability(),
        vocabulary.flip_direction(),
        vocabulary.concepts_mutually_exclusive(),
    ),
)
