"""The older name of Clarifai_ResNet_AngularMargin, whose hyperparameters it has."""

from luthier.catalog import cost, embedding, translation, vocabulary
from luthier.catalog.hyperparameters import Number, Range
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="classification_angular_margin_embed",
    model_type="visual-embedder",
    description="Older form of Clarifai_ResNet_AngularMargin",
    internal=True,
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
        Range(
            name="angular_scale",
            default=64,
            min=16,
            max=128,
            step=16,
            description="Radius of the sphere that the loss puts embeddings on",
        ),
        Range(
            name="angular_margin",
            default=0.5,
            min=0.1,
            max=0.9,
            description="Angle in radians that the loss keeps between concepts",
        ),
        Number(
            name="embeddings_size",
            default=512,
            min=2,
            max=8192,
            whole=True,
            description="Length of the vector that stands for a picture",
        ),
        vocabulary.pretrained_weights("imagenet"),
    ),
)
