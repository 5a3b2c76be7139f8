"""RetinaNet head on Inception V2 (Ioffe and Szegedy 2015, Lin et al. 2017). It starts from random weights."""

from luthier.catalog import cost, detection, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="Clarifai_InceptionV2",
    model_type="visual-detector",
    description="RetinaNet head on Inception V2: lighter than on V4",
    recipe="object_detection",
    backbone="retinanet:luthier/bn_inception",
    plan=detection.retinanet_plan,
    gflops=102.0,
    gflops_at=cost.by_area(102.0, 512),
    parameters_m=24.0,
    strategies=True,
    without=("stochastic_depth", "label_smoothing"),
    hyperparameters=(
        vocabulary.exact_or_shorter_side(512),
        vocabulary.batch_size(8, most=16),
        vocabulary.num_epochs(30, most=200),
        *detection.retinanet_hyperparameters(),
        vocabulary.per_item_lrate(0.000625),
        vocabulary.pretrained_weights(),
    ),
)
