"""What the plan functions of the detectors share: documented words -> fields of a DetectionPlan. Next: `plan`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from luthier.catalog import vocabulary
from luthier.catalog.hyperparameters import ArrayOfNumbers, Boolean, Hyperparameter
from luthier.catalog.plan import DetectionPlan
from luthier.catalog.translation import late_cuts, own_region_fields
from luthier.catalog.vocabulary import NO_WEIGHTS
from luthier.errors import InvalidTrainingParams

Values = Mapping[str, Any]
SMALLEST_QUERY_SIDE = 128  # pixels: a smaller square has fewer places than these networks have queries


def own_plan(values: Values) -> DetectionPlan:
    """The plan of Luthier's own detectors."""
    return DetectionPlan(**own_region_fields(values), mosaic_probability=values["mosaic_probability"])


def query_hyperparameters() -> tuple[Hyperparameter, ...]:
    """RT-DETRv2's and D-FINE's; the defaults are ours, the same for both."""
    return (
        vocabulary.seed(),
        vocabulary.num_gpus(),
        ArrayOfNumbers(
            name="image_size",
            default=(640, 640),
            min=SMALLEST_QUERY_SIDE,
            max=4096,
            min_length=1,
            max_length=2,
            whole=True,
            description="Size of the pictures in pixels: one number is the shorter side, two are width and height",
        ),
        vocabulary.batch_size(8, most=64),
        vocabulary.num_epochs(30, most=200),
        vocabulary.learning_rate(1e-4),
        vocabulary.backbone_learning_rate_multiplier(0.1),
        vocabulary.weight_decay(1e-4),
        vocabulary.warmup_iters(200),
        vocabulary.trainable_layers(),
        vocabulary.early_stopping_epochs(),
        vocabulary.flip_probability(0.5),
        vocabulary.flip_direction(),
        vocabulary.zoom(0.3),
        vocabulary.shift_fraction(0.1),
        vocabulary.color_jitter(0.2),
        vocabulary.mosaic_probability(0.0),
        vocabulary.pretrained_weights("coco", whole=True),
    )


def query_plan(values: Values) -> DetectionPlan:
    """RT-DETRv2's and D-FINE's: as our own, small steps; a pre-trained body learns ten times slower, its norms stay."""
    random_start = values["pretrained_weights"] == NO_WEIGHTS
    return replace(
        own_plan(values),
        clip_gradient_norm=0.1,
        ema_decay=0.9999,
        backbone_multiplier=1.0 if random_start else values["backbone_learning_rate_multiplier"],
        still_norms=not random_start,
        mean=(0.0, 0.0, 0.0),  # these networks see plain shares of white
        std=(1.0, 1.0, 1.0),
    )


def published_plan(values: Values, **own: Any) -> DetectionPlan:
    """The plan of the documented detectors: stochastic gradient descent with momentum, cut to a tenth after two thirds
    and eleven twelfths of the epochs, as all of them were published. `own` overrides fields.

    A pre-trained body keeps its statistics and, where `own` says so, its first stages; a random one learns as a whole.
    """
    last = values["num_epochs"]
    fields: dict[str, Any] = {
        "epochs": last,
        "batch_size": values["batch_size"],
        "learning_rate": values["batch_size"] * values["per_item_lrate"],
        "optimizer": "sgd",
        "weight_decay": 1e-4,
        "schedule": "step",
        "step_epochs": late_cuts(last),
        "warmup_steps": 500,
        "warmup_ratio": 0.001,
        "clip_gradient_norm": 35.0,
        "image_size": image_size(values["image_size"]),
        "still_norms": True,
        **own,
    }
    if values.get("pretrained_weights") == NO_WEIGHTS:
        fields |= {"frozen_stages": 0, "still_norms": False, "backbone_multiplier": 1.0}
    return DetectionPlan(**fields)


def image_size(given: Any) -> tuple[int, ...]:
    """One number or two; V4's is one as text."""
    return (int(given),) if isinstance(given, str) else tuple(given)


def scales(values: Values) -> dict[str, float]:
    """`random_resize_lower` and `…_upper` as zooms of image_size; raises InvalidTrainingParams if they contradict."""
    size, named = values["image_size"], {}
    for name in ("random_resize_lower", "random_resize_upper"):
        given = values[name] or size
        if len(given) != len(size):
            raise InvalidTrainingParams(
                f"train_info.params.{name} has {len(given)} numbers and image_size {len(size)}; give as many"
            )
        named[name] = given[0] / size[0]
    low, high = named["random_resize_lower"], named["random_resize_upper"]
    if low > high:
        raise InvalidTrainingParams(
            f"train_info.params.random_resize_lower is {list(values['random_resize_lower'])}, which is more than "
            f"random_resize_upper, {list(values['random_resize_upper']) or 'image_size'}; give less, or more there"
        )
    return {"scale_min": low, "scale_max": high}


def retinanet_hyperparameters() -> tuple[Hyperparameter, ...]:
    """Those of the head, which the Inception templates share."""
    return (
        Boolean(
            name="use_perclass_regression",
            default=False,
            description="Each concept has its own box regression instead of one for all",
        ),
        ArrayOfNumbers(
            name="anchor_ratios",
            default=(0.5, 1.0, 2.0),
            min=0.05,
            max=20,
            min_length=1,
            max_length=16,
            description="Ratios of width to height of the anchor boxes",
        ),
        Boolean(
            name="use_focal_loss",
            default=True,
            description="true: focal loss (Lin et al. 2017); false: the hardest negatives only",
        ),
    )


def retinanet_plan(values: Values) -> DetectionPlan:
    return published_plan(
        values,
        anchor_ratios=tuple(values["anchor_ratios"]),
        per_class_boxes=values["use_perclass_regression"],
        focal_loss=values["use_focal_loss"],
    )


def yolof_plan(values: Values) -> DetectionPlan:
    """A picture that need not keep its proportions is squeezed to a square, or to the two sides that are given."""
    sides = tuple(values["image_size"])
    squeezed = sides if len(sides) == 2 else (*sides, *sides)
    notes = []
    if values["pretrained_weights"] == NO_WEIGHTS:
        notes.append(f"pretrained_weights is {NO_WEIGHTS}: frozen_stages freezes nothing")
    if len(sides) == 2 and values["keep_aspect_ratio"]:
        notes.append("image_size is width and height: keep_aspect_ratio and max_aspect_ratio mean nothing")
    return published_plan(
        values,
        backbone_multiplier=1 / 3,
        frozen_stages=values["frozen_stages"],
        least_examples_per_epoch=values["min_samples_per_epoch"],
        image_size=sides if values["keep_aspect_ratio"] else squeezed,
        largest_ratio=values["max_aspect_ratio"],
        notes=tuple(notes),
        shift_fraction=0.06,  # 32 pixels of 512, as published
    )


def yolox_plan(values: Values) -> DetectionPlan:
    return published_plan(
        values,
        weight_decay=5e-4,
        schedule="cosine",
        ema_decay=0.9998,
        color_jitter=0.3,
        scale_min=0.5,
        scale_max=1.5,
        mosaic_probability=0.5,
    )
