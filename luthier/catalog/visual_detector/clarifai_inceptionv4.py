"""RetinaNet head on Inception V4 (Szegedy et al. 2017, Lin et al. 2017)."""

from luthier.catalog import cost, detection, translation, vocabulary
from luthier.catalog.hyperparameters import Enum
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="Clarifai_InceptionV4",
    model_type="visual-detector",
    description="RetinaNet head on Inception V4: accurate, heavy",
    recipe="object_detection",
    backbone="retinanet:timm/inception_v4",
    plan=detection.retinanet_plan,
    weights=translation.unless_none("timm/inception_v4.tf_in1k"),
    gflops=153.0,
    gflops_at=cost.by_area(153.0, 512),
    parameters_m=58.0,
    strategies=True,
    without=("stochastic_depth", "label_smoothing"),
    hyperparameters=(
        Enum(
            name="image_size",
            default="512",
            options=("320", "512", "800"),
            description="Side in pixels that training pictures are scaled to",
        ),
        vocabulary.batch_size(8, most=16),
        vocabulary.num_epochs(30, most=200),
        *detection.retinanet_hyperparameters(),
        vocabulary.per_item_lrate(0.000625),
        vocabulary.pretrained_weights("imagenet"),
    ),
)
