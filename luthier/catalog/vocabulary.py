"""Hyperparameters that many templates share word for word; what differs between them is an argument.

Bounds of a Number that nobody documents are ours: they keep typing errors out. Next: any file in `visual_classifier/`.
"""

from luthier.catalog.hyperparameters import ArrayOfNumbers, Boolean, Enum, Number, PythonCode, Range, String

NO_WEIGHTS = "None"
MOST_STAGES = 4  # of a backbone that can be named one by one: a stage halves the picture, or is a transformer's block
SMALLEST_SIDE, LARGEST_SIDE = 32, 1024  # pixels


def seed() -> Number:
    text = "Seed of every random choice; the same seed on the same data gives the same model, -1 draws one"
    return Number(name="seed", default=-1, min=-1, max=2**31 - 1, whole=True, internal=True, description=text)


def num_gpus(internal: bool = True) -> Range:
    text = "GPUs to train on; 0 keeps the training on the processor"
    return Range(name="num_gpus", default=1, min=0, max=1, step=1, internal=internal, description=text)


def square_image_size(default: int, multiple: int = 1) -> Number:
    text = "Side in pixels of the square that pictures are squeezed to, in training and in prediction"
    low, high = -(-SMALLEST_SIDE // multiple) * multiple, LARGEST_SIDE // multiple * multiple
    return Number(
        name="image_size", default=default, min=low, max=high, whole=True, multiple=multiple, description=text
    )


def shorter_side(default: int = 256) -> Range:
    text = "Pixels that a picture's shorter side is scaled to; the middle square of it is used"
    return Range(name="image_size", default=default, min=32, max=1024, step=16, description=text)


def prediction_size(default: int) -> ArrayOfNumbers:
    text = "Size of the pictures in prediction: one number is the shorter side, two are width and height"
    return exact_or_shorter_side(default, text)


def exact_or_shorter_side(default: int, text: str = "") -> ArrayOfNumbers:
    text = text or "Size of the pictures in pixels: one number is the shorter side, two are width and height"
    return ArrayOfNumbers(
        name="image_size",
        default=(default,),
        min=32,
        max=4096,
        min_length=1,
        max_length=2,
        whole=True,
        description=text,
    )


def batch_size(default: int, most: int) -> Range:
    text = "Examples that make up one step of the optimizer"
    return Range(name="batch_size", default=default, min=1, max=most, step=1, description=text)


def num_epochs(default: int, most: int) -> Range:
    text = "How often training goes through all examples"
    return Range(name="num_epochs", default=default, min=1, max=most, step=1, description=text)


def per_item_lrate(default: float) -> Number:
    text = "Learning rate per example: training starts at this times batch_size"
    return Number(name="per_item_lrate", default=default, min=0, max=1, description=text)


def learning_rate(default: float) -> Number:
    text = (
        "Largest learning rate, reached after warm-up; it falls along half a cosine wave, or as schedule says otherwise"
    )
    return Number(name="learning_rate", default=default, min=0, max=10, description=text)


def weight_decay(default: float) -> Range:
    text = "Pull of every weight towards zero; norms and biases are left alone"
    return Range(name="weight_decay", default=default, min=0, max=1, description=text)


def momentum() -> Range:
    text = "Share of the last step's direction that stochastic gradient descent keeps"
    return Range(name="momentum", default=0.9, min=0, max=1, description=text)


def warmup_iters(default: int) -> Number:
    text = "Steps over which the learning rate rises to its start value; at most a tenth of all steps"
    return Number(name="warmup_iters", default=default, min=0, max=1_000_000, whole=True, description=text)


def init_epochs(default: int = 25) -> Range:
    text = "Epochs at the first learning rate, before it is cut to a tenth for the first time"
    return Range(name="init_epochs", default=default, min=1, max=200, step=1, description=text)


def step_epochs(default: int = 7) -> Range:
    text = "Epochs from one cut of the learning rate to the next"
    return Range(name="step_epochs", default=default, min=1, max=200, step=1, description=text)


def num_items_per_epoch() -> Number:
    text = "Examples that count as one epoch, drawn anew each time; 0 takes them all"
    return Number(name="num_items_per_epoch", default=0, min=0, max=1_000_000_000, whole=True, description=text)


def logreg() -> Range:
    text = "1: every concept is judged by itself (sigmoid); 0: exactly one concept fits (softmax)"
    return Range(name="logreg", default=1, min=0, max=1, step=1, description=text)


def concepts_mutually_exclusive(default: bool = False) -> Boolean:
    text = "true: exactly one concept fits each picture (softmax); false: any number may fit (sigmoid)"
    return Boolean(name="concepts_mutually_exclusive", default=default, description=text)


def lrate() -> Number:
    text = "Learning rate that the classification head starts with"
    return Number(name="lrate", default=0.1, min=0, max=100, description=text)


def base_gradient_multiplier() -> Number:
    text = (
        "Factor on the learning rate of a pre-trained backbone, 0 freezes it; a random backbone learns at the full rate"
    )
    return Number(name="base_gradient_multiplier", default=0.001, min=0, max=1000, description=text)


def average_horizontal_flips() -> Boolean:
    text = "Predict for a picture and its mirror image and take the mean"
    return Boolean(name="average_horizontal_flips", default=True, description=text)


def flip_probability(default: float = 0.5) -> Range:
    text = "Chance that a training picture is mirrored"
    return Range(name="flip_probability", default=default, min=0, max=1, description=text)


def flip_direction() -> Enum:
    text = "How training pictures are mirrored: left to right, or top to bottom"
    return Enum(name="flip_direction", default="horizontal", options=("horizontal", "vertical"), description=text)


def pretrained_weights(named: str = "", whole: bool = False) -> Enum:
    """`named` is what the documentation calls the weights; "" for a network that only starts from random ones.

    `whole`: they are those of the network with its head, not of its backbone alone.
    """
    text = f"Weights to start from; {NO_WEIGHTS} starts from random ones"
    if named in ("coco", "ade20k") and not whole:
        text += f". Weights of {named.upper()} are nowhere open for all: {named} takes the backbone's of ImageNet"
    if not named:
        text = "This network has no pre-trained weights: training starts from random ones"
    options = (NO_WEIGHTS, named) if named else (NO_WEIGHTS,)
    return Enum(name="pretrained_weights", default=named or NO_WEIGHTS, options=options, description=text)


def custom_config(default: str) -> PythonCode:
    text = "Configuration in the Python dialect of the OpenMMLab toolboxes; read, never executed"
    return PythonCode(name="custom_config", default=default, description=text)


def inference_crop_type() -> String:
    text = "How a picture is cut in prediction; sorta2, the middle square, is the only way"
    return String(name="inference_crop_type", default="sorta2", known=("sorta2",), description=text)


# -- the fuller set of Luthier's own templates -------------------------------------------------------------------------


def trainable_layers(default: str = "all", stages: int = MOST_STAGES) -> Enum:
    last = tuple(f"last_{number}" for number in range(1, stages + 1))
    text = f"What learns: all layers, the head alone, or the head and the last 1 to {stages} stages of the backbone"
    return Enum(name="trainable_layers", default=default, options=("all", "head", *last), description=text)


def backbone_learning_rate_multiplier(default: float) -> Range:
    text = "Factor on the learning rate of a pre-trained backbone; a random backbone learns at the full rate"
    return Range(name="backbone_learning_rate_multiplier", default=default, min=0, max=1, description=text)


def label_smoothing(default: float) -> Range:
    text = "Share of certainty that training takes from each label, so that the model does not grow too sure"
    return Range(name="label_smoothing", default=default, min=0, max=0.5, description=text)


def early_stopping_epochs(default: int = 0) -> Range:
    text = "Stop after this many epochs without a better validation metric; 0 trains all epochs"
    return Range(name="early_stopping_epochs", default=default, min=0, max=200, step=1, description=text)


def early_stopping_metric(default: str, metrics: tuple[str, ...]) -> Enum:
    text = (
        "Validation metric that says which epoch was better, for early stopping and for the weights that are served; "
        f"{default} leaves it to the model type"
    )
    return Enum(name="early_stopping_metric", default=default, options=(default, *metrics), description=text)


def accumulate(default: int) -> Range:
    text = "Batches whose gradients are added up to one step: as a batch_size so many times larger, without its memory"
    return Range(name="accumulate", default=default, min=1, max=1024, step=1, description=text)


def gradient_checkpointing(default: bool) -> Boolean:
    text = "Compute each block of the network twice instead of keeping what it computed: less memory, a third more time"
    return Boolean(name="gradient_checkpointing", default=default, description=text)


def class_weights(default: str) -> Enum:
    text = "balanced: an example counts for more where its concept is rare; none: all count alike"
    return Enum(name="class_weights", default=default, options=("none", "balanced"), description=text)


def balanced_sampling(default: bool) -> Boolean:
    text = "Show every concept equally often: an epoch repeats examples of rare ones and omits some of frequent ones"
    return Boolean(name="balanced_sampling", default=default, description=text)


def feature_cache(default: str) -> Enum:
    text = (
        "Where only the head is trained, ask the backbone once for each example. auto: unless training changes "
        "examples at random; on: always, training leaves them as they are; off: never"
    )
    return Enum(name="feature_cache", default=default, options=("auto", "on", "off"), description=text)


def crop_scale_min(default: float) -> Range:
    text = "Smallest share of a training picture's area that a random crop keeps; 1 keeps the whole picture"
    return Range(name="crop_scale_min", default=default, min=0.05, max=1, description=text)


def shift_fraction(default: float) -> Range:
    text = "Largest random shift of a training picture, as a share of its side"
    return Range(name="shift_fraction", default=default, min=0, max=0.5, description=text)


def rotate_degrees(default: float) -> Range:
    text = "Largest random rotation of a training picture, in degrees either way"
    return Range(name="rotate_degrees", default=default, min=0, max=180, description=text)


def random_augment(default: int) -> Range:
    text = "Strength of RandAugment, two random operations a picture; 0 turns it off"
    return Range(name="random_augment", default=default, min=0, max=10, step=1, description=text)


def mixup_alpha(default: float) -> Range:
    text = "Blends pairs of training pictures; the larger, the more even the blend, 0 turns it off"
    return Range(name="mixup_alpha", default=default, min=0, max=5, description=text)


def cutmix_alpha(default: float) -> Range:
    text = "Pastes a part of one training picture into another; 0 turns it off"
    return Range(name="cutmix_alpha", default=default, min=0, max=5, description=text)


# -- strategies: the default is what the template itself does ----------------------------------------------------------


def optimizer(default: str) -> Enum:
    text = "Rule of the steps; each wants learning rates of its own: SGD large ones, AdamW smaller, Lion smaller still"
    return Enum(name="optimizer", default=default, options=("adamw", "sgd", "lion", "lamb"), description=text)


def schedule(default: str) -> Enum:
    text = "How the learning rate falls after warm-up: along half a cosine wave, in steps, along a line, or not at all"
    return Enum(name="schedule", default=default, options=("cosine", "step", "linear", "constant"), description=text)


def clip_gradient_norm(default: float) -> Number:
    text = "Longest gradient over all weights; a longer one is scaled down, 0 scales none"
    return Number(name="clip_gradient_norm", default=default, min=0, max=1_000_000, description=text)


def ema_decay(default: float) -> Range:
    text = "Averages the weights over the steps, keeping this share each time; the average is served, 0 turns it off"
    return Range(name="ema_decay", default=default, min=0, max=0.99999, description=text)


def unfreeze_every_epochs(default: int) -> Range:
    text = (
        "The head learns alone at first; then one stage more after each so many epochs, the last first; 0: all at once"
    )
    return Range(name="unfreeze_every_epochs", default=default, min=0, max=200, step=1, description=text)


def any_gradient_multiplier(default: float) -> Number:
    text = "Factor on the learning rate of the backbone, 0 freezes it; by default 1 where it starts from random weights"
    return Number(name="base_gradient_multiplier", default=default, min=0, max=1000, description=text)


def layer_decay(default: float) -> Range:
    text = "Factor on the learning rate from each stage of the backbone to the one before it; 1 treats all alike"
    return Range(name="layer_decay", default=default, min=0.1, max=1, description=text)


def head_hidden_layers(default: int) -> Range:
    text = "Layers that are added between the backbone and the one that maps to concepts; 0: a linear head"
    return Range(name="head_hidden_layers", default=default, min=0, max=8, step=1, description=text)


def head_hidden_width(default: int) -> Range:
    text = "Width of each layer that head_hidden_layers adds"
    return Range(name="head_hidden_width", default=default, min=8, max=8192, step=1, description=text)


def dropout(default: float) -> Range:
    text = "Share of the features that the layer that maps to concepts does without at each step of training"
    return Range(name="dropout", default=default, min=0, max=0.9, description=text)


def stochastic_depth(default: float) -> Range:
    text = "Chance that training skips the last residual block, falling evenly to none for the first; 0 turns it off"
    return Range(name="stochastic_depth", default=default, min=0, max=0.9, description=text)


def brightness_jitter(default: float) -> Range:
    text = "Largest random change of a training picture's brightness, as a share, on top of color_jitter"
    return Range(name="brightness_jitter", default=default, min=0, max=1, description=text)


def contrast_jitter(default: float) -> Range:
    text = "Largest random change of a training picture's contrast, as a share, on top of color_jitter"
    return Range(name="contrast_jitter", default=default, min=0, max=1, description=text)


def hue_jitter(default: float) -> Range:
    text = "Largest random turn of a training picture's colours, as a share of the colour circle; 0.5 gives any colour"
    return Range(name="hue_jitter", default=default, min=0, max=0.5, description=text)


# -- pictures with boxes or masks --------------------------------------------------------------------------------------


def zoom(default: float) -> Range:
    text = "Largest random zoom of a training picture: 0.4 makes it up to 1.4 times as large, or as small; 0 none"
    return Range(name="zoom", default=default, min=0, max=2, description=text)


def color_jitter(default: float) -> Range:
    text = "Largest random change of a training picture's brightness, contrast and saturation, as a share"
    return Range(name="color_jitter", default=default, min=0, max=1, description=text)


def mosaic_probability(default: float) -> Range:
    text = "Share of training pictures that are put together from parts of four"
    return Range(name="mosaic_probability", default=default, min=0, max=1, description=text)


# -- embedders ---------------------------------------------------------------------------------------------------------


def angular_scale(default: float) -> Range:
    text = "Radius of the sphere that the loss puts embeddings on"
    return Range(name="angular_scale", default=default, min=16, max=128, step=16, description=text)


def angular_margin(default: float) -> Range:
    text = "Angle in radians that the loss keeps between concepts; from random weights it grows over half of the epochs"
    return Range(name="angular_margin", default=default, min=0.1, max=0.9, description=text)


def embeddings_size(default: int) -> Number:
    text = "Length of the vector that stands for a picture"
    return Number(name="embeddings_size", default=default, min=2, max=8192, whole=True, description=text)
