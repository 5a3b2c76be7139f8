"""ResNet-50 with the plain recipe: stochastic gradient descent and a rate cut at listed epochs (He et al. 2016)."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.hyperparameters import ArrayOfNumbers
from luthier.catalog.plan import ImagePlan
from luthier.catalog.template import Template, Values


def plan(values: Values) -> ImagePlan:
    cuts, notes = translation.listed_cuts(values)
    return ImagePlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["batch_size"] * values["per_item_lrate"],
        optimizer="sgd",
        momentum=values["momentum"],
        weight_decay=values["weight_decay"],
        schedule="step",
        step_epochs=cuts,
        step_factor=0.1,
        notes=notes,
        image_size=values["image_size"],
        mutually_exclusive=values["concepts_mutually_exclusive"],
        flip_probability=values["flip_probability"],
        flip_direction=values["flip_direction"],
        crop_scale_min=0.08,
    )


TEMPLATE = Template(
    id="MMClassification_ResNet_50",
    model_type="visual-classifier",
    description="ResNet-50 with stochastic gradient descent and a learning rate that is cut at given epochs",
    internal=True,
    recipe="image_classification",
    backbone="timm/resnet50.tv_in1k",
    weights=translation.unless_none("timm/resnet50.tv_in1k"),
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
        vocabulary.per_item_lrate(0.000390625),
        ArrayOfNumbers(
            name="learning_rate_steps",
            default=(30, 40, 50),
            min=1,
            max=600,
            whole=True,
            description="Epochs after which the learning rate is cut to a tenth",
        ),
        vocabulary.weight_decay(0.0001),
        vocabulary.momentum(),
        vocabulary.pretrained_weights("ImageNet-1k"),
        vocabulary.flip_probability(),
        vocabulary.flip_direction(),
        vocabulary.concepts_mutually_exclusive(),
    ),
)
