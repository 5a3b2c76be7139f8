"""The older name of Clarifai_ResNext, whose hyperparameters it has."""

from luthier.catalog import cost, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="classification_basemodel_v1_embed",
    model_type="visual-embedder",
    description="Older form of Clarifai_ResNext",
    internal=True,
    cannot_train="this version of Luthier does not train embedders yet",
    gflops=11.05,
    gflops_at=cost.by_area(11.05, 256),
    parameters_m=23.0,
    hyperparameters=(
        vocabulary.logreg(),
        vocabulary.shorter_side(256),
        vocabulary.batch_size(64, most=128),
        vocabulary.init_epochs(25),
        vocabulary.step_epochs(7),
        vocabulary.num_epochs(65, most=200),
        vocabulary.per_item_lrate(7.8125e-05),
        vocabulary.num_items_per_epoch(),
    ),
)
