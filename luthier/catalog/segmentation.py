"""What the plan functions of the segmenters share: documented words -> fields of a SegmentationPlan. Next: `plan`."""

from collections.abc import Mapping
from typing import Any

from luthier.catalog import cost
from luthier.catalog.plan import SegmentationPlan
from luthier.catalog.translation import own_region_fields
from luthier.catalog.vocabulary import NO_WEIGHTS

Values = Mapping[str, Any]
DECODER_WIDTHS = {"b0": 256, "b1": 256, "b2": 768}  # as published
GFLOPS = {"b0": (14.65, 2.08), "b1": (30.9, 4.16), "b2": (121.1, 7.8)}  # of 512 pixels squared: see segformer_gflops
HEAD_OVER_BODY = 10.0  # rate of the fresh decoder over the body's, as published


def own_plan(values: Values) -> SegmentationPlan:
    """The plan of Luthier's own segmenter."""
    return SegmentationPlan(**own_region_fields(values))


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


def segformer_gflops(values: Values) -> float:
    """In proportion to the pixels, but for the attention, which grows with their square."""
    in_proportion, attention = GFLOPS[values["model_size"]]
    share = cost.pixels(values["image_size"]) / 512**2
    return in_proportion * share + attention * share**2


def segformer_weights(values: Values) -> str:
    if values["pretrained_weights"] == NO_WEIGHTS:
        return ""
    return f"timm/pvt_v2_{values['model_size']}.in1k"
