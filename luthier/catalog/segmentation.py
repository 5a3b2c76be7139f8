"""What the plan functions of the segmenters share: documented words -> fields of a SegmentationPlan. Next: `plan`."""

from collections.abc import Mapping
from typing import Any

from luthier.catalog.plan import SegmentationPlan
from luthier.catalog.translation import patience_notes
from luthier.catalog.vocabulary import NO_WEIGHTS

Values = Mapping[str, Any]
DECODER_WIDTHS = {"b0": 256, "b1": 256, "b2": 768}  # as published
HEAD_OVER_BODY = 10.0  # rate of the fresh decoder over the body's, as published


def own_plan(values: Values) -> SegmentationPlan:
    """The plan of Luthier's own segmenter: AdamW along a cosine after warm-up, averaged weights are served."""
    return SegmentationPlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["learning_rate"],
        weight_decay=values["weight_decay"],
        warmup_steps=values["warmup_iters"],
        clip_gradient_norm=10.0,
        ema_decay=0.98,
        trainable_layers=values["trainable_layers"],
        early_stopping_epochs=values["early_stopping_epochs"],
        notes=patience_notes(values),
        image_size=tuple(values["image_size"]),
        flip_probability=values["flip_probability"],
        flip_direction=values["flip_direction"],
        scale_min=1 / (1 + values["zoom"]),
        scale_max=1 + values["zoom"],
        shift_fraction=values["shift_fraction"],
        color_jitter=values["color_jitter"],
    )


def segformer_plan(values: Values) -> SegmentationPlan:
    """AdamW with a decay of 0.01 and a decoder that learns ten times as fast as the body (Xie et al. 2021).

    The rate falls along a cosine where the paper has a straight line. A random body learns at the decoder's rate.
    """
    random_start = values["pretrained_weights"] == NO_WEIGHTS
    return SegmentationPlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["batch_size"] * values["per_item_lrate"] * HEAD_OVER_BODY,
        backbone_multiplier=1.0 if random_start else 1 / HEAD_OVER_BODY,
        weight_decay=0.01,
        warmup_steps=1500,
        image_size=tuple(values["image_size"]),
        scale_min=0.5,
        scale_max=2.0,
        color_jitter=0.3,
        dropout=0.1,
        body=f"timm/pvt_v2_{values['model_size']}",
        decoder_width=DECODER_WIDTHS[values["model_size"]],
    )


def segformer_weights(values: Values) -> str:
    if values["pretrained_weights"] == NO_WEIGHTS:
        return ""
    return f"timm/pvt_v2_{values['model_size']}.in1k"
