"""A configuration in MMSegmentation's dialect -> what the engine does. Next: `training` and `transforms`."""

from functools import lru_cache
from typing import Any

from luthier.catalog.own_config import transforms
from luthier.catalog.own_config.bodies import started
from luthier.catalog.own_config.section import Section, refuse, wrong
from luthier.catalog.own_config.training import Understood, finished, num_classes, opened
from luthier.catalog.plan import SegmentationPlan
from luthier.catalog.segmentation import DECODER_WIDTHS, segformer_gflops

Fields = dict[str, Any]


@lru_cache(maxsize=64)
def understood(text: str, image_size: tuple[int, ...]) -> Understood:
    """`image_size` is that of prediction. Raises InvalidTrainingParams with the path of what it does not understand."""
    own, top, model = opened(text, "mmsegmentation")
    backbone, head = model.section("backbone"), model.section("decode_head")
    if backbone is None or head is None:
        refuse("model", "has no backbone or no decode_head; build upon a _base_ that has both")
    size = backbone.choice("arch", {name: name for name in DECODER_WIDTHS})
    body = started(backbone, f"timm/pvt_v2_{size}", "in1k", 0.0)
    num_classes(head)
    width = head.whole("channels", 32, 1024, DECODER_WIDTHS[size])
    fields: Fields = {"dropout": head.number("dropout_ratio", 0, 0.9, 0.1), "decoder_width": width}
    for section in (backbone, head, model):
        section.end()
    sized_by = "dict(type='Resize', img_scale=(2048, 512), ratio_range=(0.5, 2.0))"
    fields |= transforms.learnt(top, own, READERS, sized_by)
    plan = SegmentationPlan(**finished(fields, body, image_size, top.notes), body=body.network)
    cost = segformer_gflops({"model_size": size, "image_size": plan.image_size})
    return Understood("segformer", body.weights, plan, cost)


def _resize(one: Section, fields: Fields) -> None:
    """A scale, and how far it is varied."""
    name = "img_scale" if "img_scale" in one else "scale"
    wide, high = transforms.pair(one.take(name), one.at(name))
    low, most = transforms.zooms(one, "ratio_range", (1.0, 1.0))
    if not one.flag("keep_ratio", True):
        fields["image_size"] = (wide, high)
    else:
        fields |= {"image_size": (min(wide, high),), "largest_ratio": max(wide, high) / min(wide, high)}
    fields |= {"scale_min": low, "scale_max": most}


def _crop(one: Section, fields: Fields) -> None:
    """What the network sees has the crop's shorter side; what it shows is as large as the scale before says."""
    high, wide = transforms.pair(one.take("crop_size"), one.at("crop_size"))
    one.only("cat_max_ratio", 0.75, 1.0)
    if "image_size" not in fields:
        raise wrong(one.path, "RandomCrop", "a Resize before it")
    before, side = min(fields["image_size"]), min(high, wide)
    fields["image_size"] = (side,)
    for name in ("scale_min", "scale_max"):
        fields[name] *= before / side


READERS: dict[str, transforms.Read] = {
    **{"Resize": _resize, "RandomResize": _resize, "RandomCrop": _crop},
    **{"RandomFlip": transforms.flip, "PhotoMetricDistortion": transforms.colours},
}
