"""SSD with a VGG-16 backbone (Liu et al. 2016). Declared; it does not train yet."""

from luthier.catalog import cost, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="MMDetection_SSD",
    model_type="visual-detector",
    description="SSD with a VGG-16 backbone, one stage: quick",
    cannot_train="this version of Luthier does not train detectors yet",
    gflops=203.1,
    gflops_at=cost.by_area(203.1, 512),
    parameters_m=36.0,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.exact_or_shorter_side(512),
        vocabulary.batch_size(8, most=32),
        vocabulary.num_epochs(30, most=200),
        vocabulary.per_item_lrate(3.125e-05),
        vocabulary.pretrained_weights("coco"),
    ),
)
