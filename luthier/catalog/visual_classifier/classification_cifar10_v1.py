"""A small convolutional network from random weights for small pictures; it trains on a processor."""

from luthier.catalog import cost, vocabulary
from luthier.catalog.plan import ImagePlan
from luthier.catalog.template import Template, Values


def plan(values: Values) -> ImagePlan:
    """Only size, batch and epochs are documented; shifts of an eighth and flips are CIFAR-10's usual augmentation."""
    return ImagePlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=1e-3,
        optimizer="adamw",
        weight_decay=0.01,
        warmup_steps=100,
        image_size=values["image_size"],
        resize="shorter_side",
        mutually_exclusive=True,
        flip_probability=0.5,
        shift_fraction=0.125,
    )


TEMPLATE = Template(
    id="classification_cifar10_v1",
    model_type="visual-classifier",
    description="Small convolutional network for small pictures, from random weights; one concept fits each picture",
    internal=True,
    recipe="image_classification",
    backbone="luthier/cifar10_cnn",
    plan=plan,
    gflops=0.0247,
    gflops_at=cost.by_area(0.0247, 32),
    parameters_m=0.15,
    strategies=True,
    without=("stochastic_depth",),
    hyperparameters=(
        vocabulary.num_gpus(internal=False),
        vocabulary.shorter_side(32),
        vocabulary.batch_size(128, most=128),
        vocabulary.num_epochs(65, most=200),
        vocabulary.inference_crop_type(),
        vocabulary.pretrained_weights(),
    ),
)
