"""A small network with an angular margin (ArcFace, Deng et al. 2019): learns on a processor, needs no weights."""

from luthier.catalog import cost, embedding, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_tiny_embedder",
    model_type="visual-embedder",
    description="Vectors from a small residual network for small pictures; needs no weights and no GPU",
    recipe="image_embedding",
    backbone="luthier/tiny_resnet",
    plan=embedding.own_plan,
    gflops=0.0554,
    gflops_at=cost.by_area(0.0554, 48),
    parameters_m=0.32,
    strategies=True,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        vocabulary.square_image_size(48),
        vocabulary.batch_size(32, most=1024),
        vocabulary.num_epochs(40, most=600),
        vocabulary.learning_rate(0.003),
        vocabulary.weight_decay(0.05),
        vocabulary.warmup_iters(50),
        vocabulary.angular_scale(16),
        vocabulary.angular_margin(0.2),
        vocabulary.embeddings_size(128),
        vocabulary.trainable_layers(),
        vocabulary.early_stopping_epochs(),
        vocabulary.flip_probability(0.0),  # letters and digits change their meaning in a mirror
        vocabulary.flip_direction(),
        vocabulary.crop_scale_min(0.7),
        vocabulary.shift_fraction(0.1),
        vocabulary.rotate_degrees(10.0),
        vocabulary.random_augment(0),
        vocabulary.mixup_alpha(0.0),
        vocabulary.cutmix_alpha(0.0),
        vocabulary.pretrained_weights(),
    ),
)
