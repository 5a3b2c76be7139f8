"""Inception V2 (Ioffe and Szegedy 2015) from random weights: for pictures unlike any photograph."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="Clarifai_InceptionV2",
    model_type="visual-classifier",
    description="Inception V2 from random weights, with a learning rate that is cut every few epochs; needs much data",
    recipe="image_classification",
    backbone="luthier/bn_inception",
    plan=translation.stepwise_plan,
    gflops=5.27,
    gflops_at=cost.by_area(5.27, 256),
    parameters_m=10.2,
    strategies=True,
    without=("stochastic_depth",),
    hyperparameters=(
        vocabulary.logreg(),
        vocabulary.shorter_side(256),
        vocabulary.batch_size(64, most=128),
        vocabulary.init_epochs(25),
        vocabulary.step_epochs(7),
        vocabulary.num_epochs(65, most=200),
        vocabulary.per_item_lrate(7.8125e-05),
        vocabulary.num_items_per_epoch(),
        vocabulary.pretrained_weights(),
    ),
)
