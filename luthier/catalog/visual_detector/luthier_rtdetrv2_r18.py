"""RT-DETRv2 on a ResNet-18 (Lv et al. 2024): a transformer that finds every object once; weights of COCO are open."""

from luthier.catalog import cost, detection, translation
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_rtdetrv2_r18",
    model_type="visual-detector",
    description="RT-DETRv2 on a ResNet-18, pre-trained as a whole on COCO; for a GPU",
    recipe="object_detection",
    backbone="transformers/rtdetrv2_r18",
    plan=detection.query_plan,
    weights=translation.unless_none("PekingU/rtdetr_v2_r18vd"),
    gflops=61.5,
    gflops_at=cost.by_area(61.5, 640),
    parameters_m=20.2,
    strategies=True,
    without=("stochastic_depth", "label_smoothing"),
    hyperparameters=detection.query_hyperparameters(),
)
