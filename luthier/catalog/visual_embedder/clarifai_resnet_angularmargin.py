"""ResNet-101 with an additive angular margin (ArcFace, Deng et al. 2019)."""

from luthier.catalog import cost, embedding, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="Clarifai_ResNet_AngularMargin",
    model_type="visual-embedder",
    description="ResNet-101 trained with an angular margin: vectors that tell concepts apart",
    recipe="image_embedding",
    backbone="timm/resnet101",
    plan=embedding.angular_plan,
    weights=translation.unless_none("timm/resnet101.a1_in1k"),
    gflops=20.5,
    gflops_at=cost.by_area(20.5, 256),
    parameters_m=44.5,
    strategies=True,
    hyperparameters=(
        vocabulary.shorter_side(256),
        vocabulary.batch_size(64, most=128),
        vocabulary.init_epochs(25),
        vocabulary.step_epochs(7),
        vocabulary.num_epochs(65, most=200),
        vocabulary.per_item_lrate(7.8125e-05),
        vocabulary.num_items_per_epoch(),
        vocabulary.angular_scale(64),
        vocabulary.angular_margin(0.5),
        vocabulary.embeddings_size(512),
        vocabulary.pretrained_weights("imagenet"),
    ),
)
