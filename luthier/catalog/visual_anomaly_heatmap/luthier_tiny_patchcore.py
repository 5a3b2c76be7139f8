"""PatchCore on a bank of fixed filters: fits a processor within a minute, needs no weights."""

from luthier.catalog import anomaly, cost, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_tiny_patchcore",
    model_type="visual-anomaly-heatmap",
    description="PatchCore on a fixed bank of filters: for surfaces and textures, on a processor, without weights",
    recipe="anomaly_heatmap",
    backbone="luthier/filter_bank",
    plan=anomaly.patchcore_plan,
    gflops=0.3,
    gflops_at=cost.by_area(0.3, 256),
    parameters_m=0.01,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.square_image_size(256),
        vocabulary.batch_size(16, most=256),
        anomaly.coreset_ratio(0.02),
        anomaly.neighbours(),
        anomaly.good_concept(),
        anomaly.good_quantile(),
        vocabulary.pretrained_weights(),
    ),
)
