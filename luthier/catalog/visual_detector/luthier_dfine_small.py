"""D-FINE, size S (Peng et al. 2025): as RT-DETR, with boxes refined as distributions; weights of COCO are open."""

from luthier.catalog import cost, detection, translation
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_dfine_small",
    model_type="visual-detector",
    description="D-FINE of size S, pre-trained as a whole on COCO: half as heavy as RT-DETRv2 on a ResNet-18",
    recipe="object_detection",
    backbone="transformers/dfine_small",
    plan=detection.query_plan,
    weights=translation.unless_none("ustc-community/dfine-small-coco"),
    gflops=27.8,
    gflops_at=cost.by_area(27.8, 640),
    parameters_m=10.3,
    strategies=True,
    without=("stochastic_depth", "label_smoothing"),
    hyperparameters=detection.query_hyperparameters(),
)
