"""The older name of Clarifai_ResNext, whose hyperparameters it has."""

from luthier.catalog import cost, embedding, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="classification_basemodel_v1_embed",
    model_type="visual-embedder",
    description="Older form of Clarifai_ResNext",
    internal=True,
    recipe="image_embedding",
    backbone="timm/resnext50_32x4d",
    plan=embedding.classifier_plan,
    weights=translation.unless_none("timm/resnext50_32x4d.a1_in1k"),
    gflops=11.05,
    gflops_at=cost.by_area(11.05, 256),
    parameters_m=23.0,
    strategies=True,
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
