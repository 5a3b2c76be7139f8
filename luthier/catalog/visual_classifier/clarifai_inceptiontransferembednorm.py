"""A fresh head on the normalised embedding of a pre-trained Inception V3 (Szegedy et al. 2016), tuned very gently."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="Clarifai_InceptionTransferEmbedNorm",
    model_type="visual-classifier",
    description="Fresh head on the normalised embedding of a pre-trained Inception V3, whose own weights move little",
    recipe="image_classification",
    backbone="timm/inception_v3.tv_in1k",
    weights=translation.unless_none("timm/inception_v3.tv_in1k"),
    plan=translation.transfer_plan,
    gflops=7.7,
    gflops_at=cost.by_area(7.7, 256),
    parameters_m=21.8,
    strategies=True,
    without=("stochastic_depth",),
    hyperparameters=(
        vocabulary.logreg(),
        vocabulary.shorter_side(256),
        vocabulary.batch_size(128, most=128),
        vocabulary.lrate(),
        vocabulary.base_gradient_multiplier(),
        vocabulary.num_epochs(20, most=200),
        vocabulary.num_items_per_epoch(),
        vocabulary.average_horizontal_flips(),
        vocabulary.pretrained_weights("ImageNet-1k"),
    ),
)
