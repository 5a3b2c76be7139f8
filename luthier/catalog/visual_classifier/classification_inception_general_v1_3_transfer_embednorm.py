"""The older name of the transfer template; Clarifai_InceptionTransferEmbedNorm is the one to use."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.hyperparameters import String
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="classification_inception_general_v1_3_transfer_embednorm",
    model_type="visual-classifier",
    description="Older form of Clarifai_InceptionTransferEmbedNorm: a fresh head on a normalised embedding",
    internal=True,
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
        vocabulary.num_gpus(internal=False),
        vocabulary.logreg(),
        vocabulary.shorter_side(256),
        vocabulary.batch_size(128, most=128),
        vocabulary.lrate(),
        vocabulary.base_gradient_multiplier(),
        vocabulary.num_epochs(20, most=200),
        vocabulary.num_items_per_epoch(),
        String(
            name="embeddings_layer",
            default="mod5B.concat",
            known=("mod5B.concat",),
            description="Layer whose output feeds the head; mod5B.concat, the pooled last one, is the only one",
        ),
        vocabulary.average_horizontal_flips(),
        vocabulary.pretrained_weights("ImageNet-1k"),
    ),
)
