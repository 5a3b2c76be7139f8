"""The older name of the ResNeXt template, with a few more words; Clarifai_ResNext is the one to use."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.hyperparameters import Number, String
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="classification_basemodel_v1",
    model_type="visual-classifier",
    description="Older form of Clarifai_ResNext: ResNeXt-50 32x4d with a learning rate that is cut every few epochs",
    internal=True,
    recipe="image_classification",
    backbone="timm/resnext50_32x4d.a1_in1k",
    weights=translation.unless_none("timm/resnext50_32x4d.a1_in1k"),
    plan=translation.stepwise_plan,
    gflops=11.05,
    gflops_at=cost.by_area(11.05, 256),
    parameters_m=23.0,
    strategies=True,
    hyperparameters=(
        vocabulary.num_gpus(internal=False),
        String(
            name="model_cfg",
            default="resnext",
            known=("resnext",),
            description="Family of the backbone; resnext is the only one",
        ),
        String(
            name="preinit",
            default="general-v1.5",
            known=("general-v1.5",),
            description="Name of the weights to start from, general-v1.5; here it means those of pretrained_weights",
        ),
        Number(
            name="logreg",
            default=1,
            min=0,
            max=1,
            whole=True,
            description="1: every concept is judged by itself (sigmoid); 0: exactly one concept fits (softmax)",
        ),
        vocabulary.shorter_side(256),
        vocabulary.batch_size(64, most=128),
        vocabulary.init_epochs(25),
        vocabulary.step_epochs(7),
        vocabulary.num_epochs(65, most=200),
        vocabulary.per_item_lrate(7.8125e-05),
        vocabulary.num_items_per_epoch(),
        vocabulary.inference_crop_type(),
        vocabulary.pretrained_weights("ImageNet-1k"),
    ),
)
