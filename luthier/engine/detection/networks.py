"""Detectors by name, as a template's `backbone` has it: `detector:body`. Next: `tiny`, the smallest of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from luthier.catalog.plan import DetectionPlan
from luthier.catalog.weights import require
from luthier.engine.backbones import read_weights
from luthier.engine.detection.bodies import Body, body_of
from luthier.engine.detection.detector import Detector
from luthier.engine.detection.faster_rcnn import FasterRCNN
from luthier.engine.detection.queries import QueryDetector, dfine_small, rtdetrv2_r18
from luthier.engine.detection.retinanet import RetinaNet
from luthier.engine.detection.ssd import SSD
from luthier.engine.detection.tiny import TinyDetector
from luthier.engine.detection.yolof import YOLOF
from luthier.engine.detection.yolox import YOLOX
from luthier.engine.small_networks import with_stochastic_depth
from luthier.errors import InvalidTrainingParams, shown

WITHOUT_BODY: dict[str, Callable[[int], Detector]] = {"luthier/tiny_detector": TinyDetector, "luthier/yolox_s": YOLOX}
WITH_BODY: dict[str, tuple[tuple[int, ...], Callable[[Body, int, DetectionPlan], Detector]]] = {  # strides of the body
    "faster_rcnn": ((4, 8, 16, 32), lambda body, classes, plan: FasterRCNN(body, classes, plan.regions)),
    "ssd": ((8, 16), lambda body, classes, plan: SSD(body, classes)),
    "retinanet": ((8, 16, 32), RetinaNet),
    "yolof": ((32,), lambda body, classes, plan: YOLOF(body, classes)),
}

WITH_QUERIES: dict[str, Callable[[int], Any]] = {  # configurations; weights are those of the network as a whole
    "transformers/rtdetrv2_r18": rtdetrv2_r18,
    "transformers/dfine_small": dfine_small,
}


def build(name: str, classes: int, plan: DetectionPlan, weights_folder: str = "", weights: str = "") -> Detector:
    """The network `name` on the CPU; where `weights` of the weights folder are named its body has them, or all of it.

    Raises InvalidTrainingParams for an unknown name, MissingWeights and CorruptFile.
    """
    if name in WITHOUT_BODY:
        network = WITHOUT_BODY[name](classes)
        with_stochastic_depth(network, plan.stochastic_depth)
        return network
    if name in WITH_QUERIES:
        tensors = read_weights(require(Path(weights_folder), weights)) if weights else None
        return QueryDetector(WITH_QUERIES[name](classes), tensors, plan.still_norms)
    head, _, body_name = name.partition(":")
    if head not in WITH_BODY or not body_name:
        known = [*WITHOUT_BODY, *WITH_QUERIES, *(f"{head}:BODY" for head in WITH_BODY)]
        raise InvalidTrainingParams(f"backbone is {shown(name)}; there are {', '.join(known)}")
    strides, make = WITH_BODY[head]
    kept = plan.frozen_stages, plan.still_norms
    body = body_of(body_name, strides, weights_folder, weights, *kept, plan.stochastic_depth)
    return make(body, classes, plan)
