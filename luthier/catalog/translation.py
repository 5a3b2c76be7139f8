"""What the plan functions of several templates share: documented words -> fields of a plan. Next: `plan`.

Where hyperparameters contradict each other, the result is defined here and a note for the training log says so.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from luthier.catalog.plan import ImagePlan
from luthier.catalog.vocabulary import NO_WEIGHTS
from luthier.errors import InvalidTrainingParams

Values = Mapping[str, Any]


def unless_none(name: str) -> Callable[[Values], str]:
    """`weights` of a template: `name`, or "" where the user wants random weights."""
    return lambda values: "" if values["pretrained_weights"] == NO_WEIGHTS else name


def later_cuts(values: Values) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Epochs after which the rate is cut (init_epochs, then every step_epochs), and notes on cuts that never come."""
    first, every, last = values["init_epochs"], values["step_epochs"], values["num_epochs"]
    if first >= last:
        return (), (f"init_epochs {first} is not below num_epochs {last}: the learning rate is never cut",)
    if every >= last:
        return (first,), (f"step_epochs {every} is not below num_epochs {last}: the learning rate is cut once",)
    return tuple(range(first, last, every)), ()


def listed_cuts(values: Values) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The same for learning_rate_steps; raises InvalidTrainingParams where they do not rise."""
    steps, last = tuple(values["learning_rate_steps"]), values["num_epochs"]
    if any(later <= earlier for earlier, later in pairwise(steps)):
        given = ", ".join(str(step) for step in steps)
        raise InvalidTrainingParams(
            f"train_info.params.learning_rate_steps is {given}; give epochs that rise, like 30, 40, 50"
        )
    late = [str(step) for step in steps if step >= last]
    note = f"learning_rate_steps {', '.join(late)} lie beyond num_epochs {last}: those cuts never come"
    return tuple(step for step in steps if step < last), (note,) if late else ()


def late_cuts(epochs: int) -> tuple[int, ...]:
    """After two thirds and eleven twelfths of the epochs, as detectors are published."""
    return tuple(sorted({max(1, round(epochs * 2 / 3)), max(1, round(epochs * 11 / 12))} - {epochs}))


def stepwise_plan(values: Values) -> ImagePlan:
    """The plan of the templates with init_epochs and step_epochs.

    The optimizer and its constants are not documented: stochastic gradient descent with momentum and a tenfold cut
    is what these networks were published with (He et al. 2016, section 3.4; Ioffe and Szegedy 2015).
    """
    cuts, notes = later_cuts(values)
    return ImagePlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["batch_size"] * values["per_item_lrate"],
        optimizer="sgd",
        weight_decay=1e-4,
        schedule="step",
        step_epochs=cuts,
        step_factor=0.1,
        examples_per_epoch=values["num_items_per_epoch"],
        notes=notes,
        image_size=values["image_size"],
        resize="shorter_side",
        mutually_exclusive=values["logreg"] == 0,
        flip_probability=0.5,
        crop_scale_min=0.35,
    )


def transfer_plan(values: Values) -> ImagePlan:
    """The plan of the two templates that put a fresh head on the normalised embedding of an Inception network."""
    if values["image_size"] < SMALLEST_INCEPTION_V3_SIDE:
        raise InvalidTrainingParams(
            f"train_info.params.image_size is {values['image_size']}; this network needs pictures of at least "
            f"{SMALLEST_INCEPTION_V3_SIDE} pixels"
        )
    return ImagePlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["lrate"],
        optimizer="sgd",
        backbone_multiplier=1.0 if values["pretrained_weights"] == NO_WEIGHTS else values["base_gradient_multiplier"],
        examples_per_epoch=values["num_items_per_epoch"],
        image_size=values["image_size"],
        resize="shorter_side",
        mutually_exclusive=values["logreg"] == 0,
        flip_probability=0.5,
        normalize_embedding=True,
        average_flips=values["average_horizontal_flips"],
        mean=(0.5, 0.5, 0.5),  # what these weights were trained with
        std=(0.5, 0.5, 0.5),
    )


SMALLEST_INCEPTION_V3_SIDE = 80  # pixels: its unpadded layers leave nothing of a picture below 75


def own_plan(values: Values) -> ImagePlan:
    """The plan of Luthier's own templates: AdamW along a cosine after warm-up, every word of theirs as it says."""
    random_start = values["pretrained_weights"] == NO_WEIGHTS
    return ImagePlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["learning_rate"],
        weight_decay=values["weight_decay"],
        warmup_steps=values["warmup_iters"],
        backbone_multiplier=1.0 if random_start else values.get("backbone_learning_rate_multiplier", 1.0),
        trainable_layers=values["trainable_layers"],
        early_stopping_epochs=values["early_stopping_epochs"],
        label_smoothing=values["label_smoothing"],
        image_size=values["image_size"],
        mutually_exclusive=values["concepts_mutually_exclusive"],
        flip_probability=values["flip_probability"],
        flip_direction=values["flip_direction"],
        crop_scale_min=values["crop_scale_min"],
        shift_fraction=values["shift_fraction"],
        rotate_degrees=values["rotate_degrees"],
        random_augment=values["random_augment"],
        mixup_alpha=values["mixup_alpha"],
        cutmix_alpha=values["cutmix_alpha"],
    )


def own_region_fields(values: Values) -> dict[str, Any]:
    """Fields of a RegionPlan from the words of Luthier's own templates for boxes or masks: AdamW along a cosine after
    warm-up, averaged weights are served."""
    return {
        "epochs": values["num_epochs"],
        "batch_size": values["batch_size"],
        "learning_rate": values["learning_rate"],
        "weight_decay": values["weight_decay"],
        "warmup_steps": values["warmup_iters"],
        "clip_gradient_norm": 10.0,
        "ema_decay": 0.98,
        "trainable_layers": values["trainable_layers"],
        "early_stopping_epochs": values["early_stopping_epochs"],
        "image_size": tuple(values["image_size"]),
        "flip_probability": values["flip_probability"],
        "flip_direction": values["flip_direction"],
        "scale_min": 1 / (1 + values["zoom"]),
        "scale_max": 1 + values["zoom"],
        "shift_fraction": values["shift_fraction"],
        "color_jitter": values["color_jitter"],
    }


def patience_notes(patience: int, epochs: int, called: str = "num_epochs") -> tuple[str, ...]:
    """That training never stops early, where its patience outlasts its epochs. `called`: the user's word for those."""
    note = f"early_stopping_epochs {patience} is not below {called} {epochs}: training never stops early"
    return (note,) if patience >= epochs else ()
