"""ResNeXt-50 32x4d (Xie et al. 2017), its learning rate cut every few epochs."""

from luthier.catalog import cost, translation, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="Clarifai_ResNext",
    model_type="visual-classifier",
    description="ResNeXt-50 32x4d with a learning rate that is cut every few epochs; pre-trained on ImageNet-1k",
    recipe="image_classification",
    backbone="timm/resnext50_32x4d.a1_in1k",
    weights=translation.unless_none("timm/resnext50_32x4d.a1_in1k"),
    plan=translation.stepwise_plan,
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
        vocabulary.pretrained_weights("ImageNet-1k"),
    ),
)
