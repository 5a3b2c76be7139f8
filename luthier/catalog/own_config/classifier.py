"""A configuration in MMClassification's dialect -> what the engine does. Next: `training` and `transforms`."""

from functools import lru_cache
from typing import Any

from luthier.catalog import cost
from luthier.catalog.own_config import transforms
from luthier.catalog.own_config.bodies import Body, residual, started
from luthier.catalog.own_config.section import Section, refuse, wrong
from luthier.catalog.own_config.training import Understood, finished, num_classes, opened
from luthier.catalog.plan import ImagePlan

Fields = dict[str, Any]
EFFICIENTNETS = {  # weights, GFLOPs of 224 pixels squared
    **{"b0": ("ra_in1k", 0.77), "b1": ("ft_in1k", 1.14), "b2": ("ra_in1k", 1.32)},
    **{"b3": ("ra2_in1k", 1.92), "b4": ("ra2_in1k", 3.0)},
}
MOBILENET = ("timm/mobilenetv2_100", "ra_in1k", 0.6)


@lru_cache(maxsize=64)
def understood(text: str, image_size: tuple[int, ...], exclusive: bool) -> Understood:
    """`image_size` is that of prediction. Raises InvalidTrainingParams with the path of what it does not understand."""
    own, top, model = opened(text, "mmclassification")
    backbone, head = model.section("backbone"), model.section("head")
    if backbone is None or head is None:
        refuse("model", "has no backbone or no head; build upon a _base_ that has both")
    body = _body(backbone)
    fields: Fields = _head(head)
    for section in (backbone, head, model):
        section.end()
    fields |= transforms.learnt(top, own, READERS, "dict(type='RandomResizedCrop', size=224)")
    plan = ImagePlan(**finished(fields, body, image_size, top.notes), mutually_exclusive=exclusive)
    network = body.weights or body.network
    return Understood(network, body.weights, plan, body.gflops * cost.pixels(plan.image_size) / 224**2)


def _body(backbone: Section) -> Body:
    if "arch" in backbone:
        backbone.choice("type", {"EfficientNet": ""})
        arch = backbone.choice("arch", {name: name for name in EFFICIENTNETS})
        return started(backbone, f"timm/efficientnet_{arch}", *EFFICIENTNETS[arch])
    if "widen_factor" in backbone:
        backbone.choice("type", {"MobileNetV2": ""})
        backbone.only("widen_factor", 1.0)
        return started(backbone, *MOBILENET)
    backbone.only("frozen_stages", -1)
    return residual(backbone)


def _head(head: Section) -> Fields:
    """The loss follows concepts_mutually_exclusive; its smoothing is the configuration's."""
    num_classes(head)
    head.take("in_channels")
    head.take("topk")
    loss = head.section("loss")
    if loss is None:
        return {}
    smooth = loss.choice("type", {"CrossEntropyLoss": False, "LabelSmoothLoss": True}, "CrossEntropyLoss")
    loss.only("loss_weight", 1.0)
    loss.only("mode", "original")
    loss.take("num_classes")
    fields = {"label_smoothing": loss.number("label_smooth_val", 0, 0.5, 0.1)} if smooth else {}
    loss.end()
    return fields


# -- the pipeline ------------------------------------------------------------------------------------------------------


def _crop(one: Section, fields: Fields) -> None:
    """Newer words: `scale` is the size, `crop_ratio_range` the share of the area that `scale` was."""
    newer = "size" not in one
    given = one.take("scale" if newer else "size")
    fields["image_size"] = _square(given, one.at("scale" if newer else "size"))
    name = "crop_ratio_range" if newer else "scale"
    shares = one.take(name, [0.08, 1.0])
    if not transforms.numbers(shares, 0.05, 1) or len(shares) != 2 or shares[1] != 1:
        raise wrong(one.at(name), shares, "the smallest share of the area, from 0.05 on, and 1: (0.08, 1.0)")
    fields["crop_scale_min"] = float(shares[0])
    one.ignore(("backend", "interpolation", "efficientnet_style"), "Luthier has one way to resize")


def _resize(one: Section, fields: Fields) -> None:
    name = "scale" if "scale" in one else "size"
    fields["image_size"] = _square(one.take(name), one.at(name))
    one.ignore(("backend", "interpolation"), "Luthier has one way to resize")


def _square(given: Any, path: str) -> int:
    """Networks are trained on squares: one number, or the same twice."""
    sides = given if isinstance(given, list) else [given]
    found = {transforms.side(one, path) for one in sides}
    if len(found) != 1:
        raise wrong(path, given, "one number: training pictures are squares")
    return found.pop()


READERS: dict[str, transforms.Read] = {
    **{"RandomResizedCrop": _crop, "Resize": _resize},
    **{"RandomFlip": transforms.flip, "ColorJitter": transforms.color_jitter},
}
