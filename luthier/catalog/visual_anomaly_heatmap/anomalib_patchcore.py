"""PatchCore on a Wide ResNet-50-2 (Roth et al. 2022). Declared; it does not train yet."""

from luthier.catalog.hyperparameters import Json
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="Anomalib_PatchCore",
    model_type="visual-anomaly-heatmap",
    description="PatchCore: remembers what ordinary pictures look like and marks what differs",
    cannot_train="this version of Luthier does not train anomaly detectors yet",
    gflops=22.9,
    parameters_m=68.9,
    hyperparameters=(
        Json(
            name="anomalib_config_json",
            default={},
            description="Settings of the method; empty takes its own",
        ),
    ),
)
