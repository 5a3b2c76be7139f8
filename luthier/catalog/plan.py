"""What the engine is told to do, in the engine's own words: flat, typed, serialisable.

A template's `plan` function makes one from its hyperparameters; run.json carries it; the engine builds from it.
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

AUTOMATIC = "automatic"  # the metric by which a recipe ranks epochs itself
LESS_IS_BETTER = ("loss", "perplexity")


@dataclass(frozen=True)
class Plan:
    """How any family is optimised. A rate is per step, an epoch is one pass over the training examples.

    `learns_concepts`: from what inputs are labelled with; else from the inputs alone, and a request names no concept.
    `learns_regions`: from labelled parts of inputs. One concept is enough then, and what is not labelled is background.
    `metrics`: of validation, by which the best epoch can be chosen. `most_concepts`: that one model can tell apart.
    """

    most_concepts: ClassVar[int] = 2**31  # no bound but the platform's
    learns_concepts: ClassVar[bool] = True
    learns_regions: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ()

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str = "adamw"  # adamw, sgd, lamb, lion
    momentum: float = 0.9  # sgd only
    weight_decay: float = 0.0  # never applied to norms and biases
    schedule: str = "cosine"  # constant, cosine, linear, step
    final_learning_rate: float = 0.0  # where cosine and linear end
    step_epochs: tuple[int, ...] = ()  # epochs (counted from 1) after which "step" multiplies the rate by step_factor
    step_factor: float = 0.1
    warmup_steps: int = 0  # linear; at most a tenth of all steps
    warmup_ratio: float = 0.0  # share of the rate that warm-up starts from
    backbone_multiplier: float = 1.0  # factor on the backbone's rate; 0 freezes it
    layer_decay: float = 1.0  # factor on the rate from each stage of the backbone to the one before it
    trainable_layers: str = "all"  # all, head, last_1, last_2 …: the head and so many stages of the backbone
    unfreeze_every_epochs: int = 0  # first the head alone, then one stage more each time, the last first; 0: at once
    clip_gradient_norm: float = 0.0  # 0: off
    ema_decay: float = 0.0  # 0: off; else the averaged weights are judged and served
    examples_per_epoch: int = 0  # 0: all
    least_examples_per_epoch: int = 0  # a smaller data set is repeated until an epoch has as many
    early_stopping_epochs: int = 0  # stop after so many epochs without a better validation metric; 0: never
    early_stopping_metric: str = AUTOMATIC  # which one; it also chooses the weights that are served
    accumulate: int = 1  # batches whose gradients add up to one step
    gradient_checkpointing: bool = False  # blocks are computed twice instead of keeping what they computed in memory
    balanced_sampling: bool = False  # an epoch shows every concept equally often
    label_smoothing: float = 0.0
    checkpoint_seconds: float = 60.0  # full resume state at least this often, and after each epoch
    notes: tuple[str, ...] = ()  # what was bent because hyperparameters contradict each other: for the training log


@dataclass(frozen=True)
class PicturePlan(Plan):
    """What is done alike to all pictures, whatever is learnt from them.

    `prediction_size` is that of pictures that are judged and predicted, one number for the shorter side or two for
    width and height; () is image_size.
    """

    prediction_size: tuple[int, ...] = ()  # pixels
    flip_probability: float = 0.0
    flip_direction: str = "horizontal"  # horizontal, vertical
    shift_fraction: float = 0.0  # random translation, share of each side
    color_jitter: float = 0.0  # brightness, contrast and saturation, plus or minus
    brightness_jitter: float = 0.0  # these two on top of color_jitter
    contrast_jitter: float = 0.0
    hue_jitter: float = 0.0  # plus or minus, share of the colour circle
    random_augment: int = 0  # RandAugment magnitude (0: off), two operations a picture
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    stochastic_depth: float = 0.0  # chance that the last residual block is skipped in training, less for earlier ones
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # of ImageNet's RGB, range 0..1
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImagePlan(PicturePlan):
    """Plan of the families that read whole pictures."""

    image_size: int = 224  # pixels, the square that the network sees
    resize: str = "squash"  # squash: to the square; shorter_side: keep the aspect ratio, crop the middle
    mutually_exclusive: bool = True  # True: softmax and cross entropy; False: a sigmoid per concept
    crop_scale_min: float = 1.0  # random resized crop down to this share of the area; 1: none
    rotate_degrees: float = 0.0  # random rotation, plus or minus
    erase_probability: float = 0.0
    head_hidden_layers: int = 0  # between the backbone and the layer that maps to concepts
    head_hidden_width: int = 512
    dropout: float = 0.0  # before the layer that maps to concepts
    class_weights: str = "none"  # none, or balanced: an example counts for more where its concept is rare
    feature_cache: str = "auto"  # of a frozen backbone: auto (where pictures are not changed at random), on, off
    normalize_embedding: bool = False  # the head sees the backbone's embedding scaled to length 1
    average_flips: bool = False  # predict on the picture and its mirror image, take the mean
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "macro_roc_auc", "loss")

    @property
    def changes_pictures(self) -> bool:
        """Whether training pictures are changed at random."""
        return any(getattr(self, name) != unchanged for name, unchanged in UNCHANGED.items())


PICTURE_CHANGES = (
    "flip_probability",
    "shift_fraction",
    "color_jitter",
    "brightness_jitter",
    "contrast_jitter",
    "hue_jitter",
    "random_augment",
    "mixup_alpha",
    "cutmix_alpha",
    "crop_scale_min",
    "rotate_degrees",
    "erase_probability",
)
UNCHANGED: dict[str, Any] = {field.name: field.default for field in fields(ImagePlan) if field.name in PICTURE_CHANGES}


def is_frozen(plan: Plan) -> bool:
    """Whether only the head ever learns."""
    return plan.trainable_layers == "head" or plan.backbone_multiplier == 0


def keeps_features(plan: Plan) -> bool:
    """Whether a frozen backbone is asked once for each example, instead of once in every epoch."""
    wanted = getattr(plan, "feature_cache", "off") != "off"
    return wanted and is_frozen(plan) and not getattr(plan, "changes_pictures", False)


@dataclass(frozen=True)
class EmbeddingPlan(ImagePlan):
    """Plan of the family that turns pictures into vectors."""

    embedding_size: int = 0  # length of the vector; 0: that of the backbone's features
    margin: float = 0.0  # angle in radians between concepts; 0: the head of a classifier
    margin_epochs: int = 0  # over which the margin grows from 0; 0: it is whole from the start
    scale: float = 64.0  # of the cosines, where there is a margin
    metrics: ClassVar[tuple[str, ...]] = ("recall_at_1", "recall_at_5", "map_at_r")


@dataclass(frozen=True)
class RegionPlan(PicturePlan):
    """Plan of the families that learn parts of pictures, which keep their proportions where `image_size` is one number.

    Pictures and what is labelled in them are moved together.
    """

    learns_regions: ClassVar[bool] = True

    image_size: tuple[int, ...] = (512,)  # pixels: the shorter side, or exactly width and height
    largest_ratio: float = 2.0  # longer to shorter side; a longer picture is made smaller to fit. 0: no bound
    flip_probability: float = 0.5
    scale_min: float = 1.0  # random zoom of training pictures, evenly on a logarithmic scale
    scale_max: float = 1.0

    def size_for(self, split: str) -> tuple[int, ...]:
        """image_size, or that of pictures that are not learnt from."""
        return self.image_size if split == "train" else self.prediction_size or self.image_size


@dataclass(frozen=True)
class DetectionPlan(RegionPlan):
    """Plan of the family that draws boxes."""

    mosaic_probability: float = 0.0  # share of training pictures that are put together from four
    frozen_stages: int = 0  # of a pre-trained backbone: its stem and so many stages stay as they are
    still_norms: bool = False  # batch normalisations of a pre-trained backbone keep their statistics
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # width to height, where the network has such anchors
    regions: int = 512  # that a two-stage network looks at per training picture
    per_class_boxes: bool = False  # every concept has its own box regression
    focal_loss: bool = True  # False: the hardest negatives only
    metrics: ClassVar[tuple[str, ...]] = ("map", "map50", "map75")


@dataclass(frozen=True)
class SegmentationPlan(RegionPlan):
    """Plan of the family that says of every pixel what it shows."""

    most_concepts: ClassVar[int] = 254  # a pixel's class is a byte; one is the background, one means unknown

    dropout: float = 0.0  # share of the maps that the layer that maps to concepts does without
    body: str = ""  # where the network takes one of several
    decoder_width: int = 256
    metrics: ClassVar[tuple[str, ...]] = ("miou", "dice", "pixel_accuracy")
