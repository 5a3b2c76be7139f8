"""A configuration in MMDetection's dialect -> what the engine does. Next: `training` and `transforms`."""

from functools import lru_cache
from typing import Any

from luthier.catalog import cost
from luthier.catalog.own_config import transforms
from luthier.catalog.own_config.bodies import Body, residual, started
from luthier.catalog.own_config.section import Section, refuse, wrong
from luthier.catalog.own_config.training import Understood, finished, num_classes, opened
from luthier.catalog.plan import DetectionPlan

Fields = dict[str, Any]
HEADS = {  # by the model's type: the engine's word, GFLOPs per 512 pixels squared, and those of any size
    "YOLOF": ("yolof", 10.6, 0.0),
    "FasterRCNN": ("faster_rcnn", 55.6, 28.6),
    "RetinaNet": ("retinanet", 78.8, 0.0),
    "SingleStageDetector": ("ssd", 42.8, 0.0),
    "YOLOX": ("yolox", 17.2, 0.0),
}
VGG_GFLOPS, YOLOX_WITHOUT_WEIGHTS = 30.7, Body("luthier/yolox_s", "", 0.0)


@lru_cache(maxsize=64)
def understood(text: str, image_size: tuple[int, ...]) -> Understood:
    """`image_size` is that of prediction. Raises InvalidTrainingParams with the path of what it does not understand."""
    own, top, model = opened(text, "mmdetection")
    head, by_area, beside = HEADS[own.base["model"]["type"]]
    body, fields = _network(model, head)
    fields |= transforms.learnt(top, own, READERS, "dict(type='Resize', img_scale=(1333, 800), keep_ratio=True)")
    shifted = fields.pop("shift_px", 0) / min(fields["image_size"])  # RandomShift's, which is never beside another
    if shifted > 0.5:
        refuse("max_shift_px", "of RandomShift is more than half of the shorter side of Resize; give less")
    fields["shift_fraction"] = fields.get("shift_fraction", 0.0) + shifted
    plan = DetectionPlan(**finished(fields, body, image_size, top.notes))
    pixels = cost.pixels(plan.image_size)
    gflops = body.gflops * pixels / 224**2 + by_area * pixels / 512**2 + beside
    backbone = body.network if head == "yolox" else f"{head}:{body.network}"
    return Understood(backbone, body.weights, plan, gflops)


def _network(model: Section, head: str) -> tuple[Body, Fields]:
    """The body, and what else the model says of the plan."""
    fields: Fields = {}
    backbone, neck, inner = model.section("backbone"), model.section("neck"), model
    if backbone is None:
        refuse("model.backbone", "is missing; build upon a _base_ that has one")
    if head == "faster_rcnn":
        inner = model.section("roi_head") or model
    bbox_head = inner.section("bbox_head")
    if bbox_head is None:
        refuse(inner.at("bbox_head"), "is missing; build upon a _base_ that has one")
    num_classes(bbox_head)
    body = _body(backbone, head, fields)
    if head == "retinanet" and (anchors := bbox_head.section("anchor_generator")):
        fields["anchor_ratios"] = _ratios(anchors.take("ratios"), anchors)
        anchors.end()
    for section in (backbone, neck, bbox_head, inner, model):
        if section:
            section.take("in_channels")  # follows from what is below
            section.end()
    return body, fields


def _body(backbone: Section, head: str, fields: Fields) -> Body:
    if head == "yolox":
        backbone.only("init_cfg", None)
        return YOLOX_WITHOUT_WEIGHTS
    if head == "ssd":
        return started(backbone, "timm/vgg16", "tv_in1k", VGG_GFLOPS)
    frozen = backbone.whole("frozen_stages", -1, 4, -1)
    if frozen == 0:
        raise wrong(backbone.at("frozen_stages"), frozen, "-1 for none, or 1 to 4")
    still, body = backbone.flag("norm_eval", True), residual(backbone)
    if body.weights:
        fields |= {"frozen_stages": max(0, frozen), "still_norms": still}
    return body


def _ratios(given: Any, section: Section) -> tuple[float, ...]:
    if not transforms.numbers(given, 0.05, 20) or not 1 <= len(given) <= 16:
        raise wrong(section.at("ratios"), given, "a list of 1 to 16 numbers from 0.05 to 20")
    return tuple(float(one) for one in given)


# -- the pipeline ------------------------------------------------------------------------------------------------------


def _resize(one: Section, fields: Fields) -> None:
    """One scale, or a range of two; the longer side of a scale is the most that a picture's longer side may be."""
    name = next(name for name in ("img_scale", "scale", "scales") if name in one or name == "scales")
    given, kept = one.take(name), one.flag("keep_ratio", True)
    one.only("multiscale_mode", "range")
    one.only("backend", "cv2", "pillow")
    several = isinstance(given, list) and bool(given) and isinstance(given[0], list)
    scales = [transforms.pair(scale, one.at(name)) for scale in (given if several else [given])]
    wide, high = max(scales, key=min)
    if not kept:
        if len(scales) > 1:
            refuse(one.at(name), "are several; give one, or keep_ratio=True")
        fields["image_size"] = (wide, high)
        return
    shorter = min(wide, high)
    fields |= {"image_size": (shorter,), "largest_ratio": max(wide, high) / shorter}
    if len(scales) > 1:
        _zoom(one, fields, min(min(scale) for scale in scales) / shorter, 1.0)


def _affine(one: Section, fields: Fields) -> None:
    low, high = transforms.zooms(one, "scaling_ratio_range", (0.5, 1.5))
    _zoom(one, fields, low, high)
    one.only("max_rotate_degree", 0)
    one.only("max_shear_degree", 0)
    one.take("border")
    fields["shift_fraction"] = one.number("max_translate_ratio", 0, 0.5, 0.0)
    if fields["shift_fraction"] and "shift_px" in fields:
        refuse(one.at("max_translate_ratio"), "stands beside RandomShift; give one of them")


def _zoom(one: Section, fields: Fields, low: float, high: float) -> None:
    if "scale_min" in fields:
        refuse(one.path, "zooms, and so does a transform before it; give a Resize of one scale, or no RandomAffine")
    fields |= {"scale_min": low, "scale_max": high}


def _shift(one: Section, fields: Fields) -> None:
    one.only("prob", 0.5)
    one.only("shift_ratio", 0.5)
    if fields.get("shift_fraction"):
        refuse(one.path, "shifts, and so does RandomAffine before it; give one of them")
    fields["shift_px"] = one.whole("max_shift_px", 0, 1000, 32)


def _mosaic(one: Section, fields: Fields) -> None:
    fields["mosaic_probability"] = one.number("prob", 0, 1, 1.0)
    one.ignore(("img_scale", "center_ratio_range", "pad_val"), "a mosaic is as large as the picture")


READERS: dict[str, transforms.Read] = {
    **dict.fromkeys(("Resize", "RandomResize", "RandomChoiceResize"), _resize),
    **{"RandomFlip": transforms.flip, "RandomAffine": _affine, "RandomShift": _shift, "Mosaic": _mosaic},
    **{"PhotoMetricDistortion": transforms.colours, "YOLOXHSVRandomAug": transforms.colours},
}
