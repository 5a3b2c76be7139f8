"""PatchCore (Roth et al. 2022) on a Wide ResNet-50-2, told in the words of Anomalib's configurations."""

from luthier.catalog import anomalib, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="Anomalib_PatchCore",
    model_type="visual-anomaly-heatmap",
    description="PatchCore: remembers what ordinary pictures look like and marks what differs",
    recipe="anomaly_heatmap",
    backbone="timm/wide_resnet50_2.tv_in1k",
    weights=anomalib.weights,
    plan=anomalib.plan,
    gflops=29.9,
    gflops_at=anomalib.gflops,
    parameters_m=68.9,
    hyperparameters=(anomalib.config(), vocabulary.pretrained_weights("ImageNet-1k")),
)
