"""Networks that say how unusual a picture is, by name, and what they have in common. Next: `patchcore`, `distillation`.

Pictures (B, 3, S, S) to scores (B,) and maps (B, S, S), the greater the stranger; both are raw: of no fixed scale.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from luthier.catalog.anomaly import AnomalyPlan
from luthier.engine.anomaly.filters import FilterBank
from luthier.engine.detection.bodies import Body, body_of
from luthier.engine.rows import Rows

Tensor = torch.Tensor


class AnomalyNetwork(nn.Module):
    """`limits` holds threshold and steepness of scores, then of maps: what `thresholds` makes values 0..1 of.

    The `body` never changes, not even its statistics: what was seen once must look the same for ever.
    """

    limits: Tensor

    def __init__(self, body: Body, plan: AnomalyPlan) -> None:
        super().__init__()
        self.body, self.plan = body, plan
        self.register_buffer("limits", torch.ones(2, 2))

    def freeze(self) -> None:
        self.body.requires_grad_(False)

    def train(self, mode: bool = True) -> "AnomalyNetwork":
        super().train(mode)
        self.body.eval()
        return self

    def loss(self, images: Tensor) -> Tensor:
        """Of good pictures, a scalar; one without a gradient says that the network has only looked at them."""
        raise NotImplementedError

    def settle(self) -> str:
        """After the last batch of an epoch: what was done with what was seen, in words for the log."""
        return ""

    def make_room(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Buffers of the shapes that the tensors of a checkpoint have, where data decides on these."""

    def get_classifier(self) -> nn.Module:
        """All that pre-trained weights do not bring."""
        raise NotImplementedError

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        """Nothing in these networks depends on the concepts."""
        return {}

    def finished(self, maps: Tensor) -> Tensor:
        """(B, 1, h, w) to float32 (B, S, S), at the size of the pictures, blurred."""
        side = self.plan.image_size
        with torch.autocast(maps.device.type, enabled=False):  # bfloat16 has 128 steps to the next power of 2
            large = functional.interpolate(maps.float(), size=(side, side), mode="bilinear", align_corners=False)
            return blurred(large, self.plan.smoothing)[:, 0]


def frozen_body(name: str, plan: AnomalyPlan, weights_folder: str, weights: str) -> Body:
    """A body that is looked through and never trained. Raises MissingWeights, CorruptFile, InvalidTrainingParams."""
    if name == "luthier/filter_bank":
        body: Body = FilterBank(plan.strides)
    else:
        body = body_of(name.partition(".")[0], plan.strides, weights_folder, weights, 0, still_norms=False)
    return body.requires_grad_(False)


def blurred(maps: Tensor, deviation: float) -> Tensor:
    """(B, 1, H, W) under a Gaussian of that standard deviation in pixels; edges are mirrored."""
    reach = min(int(4 * deviation + 0.5), min(maps.shape[2:]) - 1)
    if reach < 1:
        return maps
    places = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-places.square() / (2 * deviation**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    wide = functional.pad(maps, (reach, reach, reach, reach), mode="reflect")
    across = functional.conv2d(wide, kernel.unsqueeze(2))
    return functional.conv2d(across, kernel.unsqueeze(3))


def anomaly_network(network: Any) -> AnomalyNetwork:
    if not isinstance(network, AnomalyNetwork):
        raise TypeError(f"{type(network).__name__} is no network for anomalies")
    return network
