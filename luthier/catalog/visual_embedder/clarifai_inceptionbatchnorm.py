"""The embedding inside an Inception classifier (Ioffe and Szegedy 2015)."""

from luthier.catalog import cost, embedding, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="Clarifai_InceptionBatchNorm",
    model_type="visual-embedder",
    description="Vectors from inside an Inception with batch normalisation that was trained as a classifier",
    recipe="image_embedding",
    backbone="luthier/bn_inception",
    plan=embedding.classifier_plan,
    weights=translation.unless_none("luthier/bn_inception"),
    gflops=5.27,
    gflops_at=cost.by_area(5.27, 256),
    parameters_m=10.2,
    strategies=True,
    without=("stochastic_depth",),
    hyperparameters=(
        vocabulary.logreg(),
        vocabulary.shorter_side(256),
        vocabulary.batch_size(64, most=128),
        vocabulary.init_epochs(25),
        vocabulary.step_epochs(7),
        vocabulary.num_epochs(65, most=200),
        vocabulary.per_item_lrate(7.8125e-05),
        vocabulary.num_items_per_epoch(),
        vocabulary.pretrained_weights("imagenet"),
    ),
)
