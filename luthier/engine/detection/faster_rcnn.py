"""Faster R-CNN with a feature pyramid (Ren et al. 2015, Lin et al. 2017), put together from torchvision's parts."""

from typing import Any

import torch
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FasterRCNN as Parts
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList

from luthier.engine.detection.bodies import Body
from luthier.engine.detection.detector import Choice, Detector, Found, Target
from luthier.engine.detection.pyramid import Pyramid
from luthier.engine.rows import Rows

Tensor = torch.Tensor
WIDTH, REPRESENTATION = 256, 1024  # channels of the maps; features of a region
ANCHOR_SIDES = 8  # strides
POOLED = 7  # cells of a region's side


class FasterRCNN(Detector):
    """Two stages: regions that may hold an object, then what each holds. `regions`: sampled per picture in training."""

    def __init__(self, body: Body, classes: int, regions: int, width: int = WIDTH) -> None:
        super().__init__()
        self.classes = classes
        self.choice = Choice(least_value=0.05, overlap=0.5)
        self.body = body
        self.pyramid = Pyramid(body.channels, width)
        sides = tuple((ANCHOR_SIDES * stride,) for stride in (*body.strides, 2 * body.strides[-1]))
        features = REPRESENTATION * width // WIDTH
        parts: Any = Parts(
            _Maps(width),
            box_head=TwoMLPHead(width * POOLED**2, features),
            box_predictor=FastRCNNPredictor(features, classes + 1),
            rpn_anchor_generator=AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * len(sides)),
            box_batch_size_per_image=regions,
            box_score_thresh=self.choice.least_value,
            box_nms_thresh=self.choice.overlap,
            box_detections_per_img=self.choice.most,
        )
        self.rpn = parts.rpn
        self.roi_heads = parts.roi_heads

    def get_classifier(self) -> nn.Module:
        return nn.ModuleList([self.pyramid, self.rpn, self.roi_heads])

    def loss(self, images: Tensor, targets: list[Target]) -> Tensor:
        wanted = [{"boxes": target.boxes, "labels": target.concepts + 1} for target in targets]
        sizes = [(images.shape[2], images.shape[3])] * len(images)
        maps = self._maps(images)
        with _in_float32(images):
            regions, losses = self.rpn(ImageList(images, sizes), maps, wanted)
            _, more = self.roi_heads(maps, regions, sizes, wanted)
        total: Tensor = sum((*losses.values(), *more.values()))
        return total

    def detect(self, images: Tensor, sizes: list[tuple[int, int]]) -> list[Found]:
        maps = self._maps(images)
        with _in_float32(images):
            regions, _ = self.rpn(ImageList(images, sizes), maps)
            found, _ = self.roi_heads(maps, regions, sizes)
        return [Found(one["boxes"], one["scores"], one["labels"] - 1) for one in found]

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        """The first class is the background; boxes have four rows a class."""
        predictor = "roi_heads.box_predictor."
        found: dict[str, Rows] = {}
        for name, each in (("cls_score", 1), ("bbox_pred", 4)):
            rows = torch.arange((classes + 1) * each).view(classes + 1, each)
            found |= {f"{predictor}{name}.{part}": Rows(rows[1:], rows[0]) for part in ("weight", "bias")}
        return found

    def _maps(self, images: Tensor) -> dict[str, Tensor]:
        """float32, by the names that the regions' pooling knows; the coarsest is for the first stage only."""
        maps = [one.float() for one in self.pyramid(self.body(images))]
        named = {str(level): one for level, one in enumerate(maps)}
        return {**named, "pool": nn.functional.max_pool2d(maps[-1], 1, 2, 0)}


def _in_float32(images: Tensor) -> torch.autocast:
    """torchvision computes boxes in the maps' precision, and bfloat16 knows only every fourth pixel from 512 on."""
    return torch.autocast(images.device.type, enabled=False)


class _Maps(nn.Module):
    """Tells torchvision how wide the maps are; they are made elsewhere."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels = width
