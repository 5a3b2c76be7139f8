"""Reverse distillation: a student rebuilds a teacher's maps from a narrow summary: of good pictures alone.

Source: Deng and Li 2022, "Anomaly Detection via Reverse Distillation from One-Class Embedding". Next: `networks`.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from luthier.catalog.anomaly import AnomalyPlan
from luthier.engine.anomaly.networks import AnomalyNetwork
from luthier.engine.detection.bodies import Body
from luthier.engine.small_networks import ResidualBlock

Tensor = torch.Tensor


class ReverseDistillation(AnomalyNetwork):
    """The teacher `body` has maps at strides that double; `student` is the bottleneck and the decoder.

    The paper compares directions. Where the plan says `alike`, squared differences take their place, and the teacher's
    channels are first brought to mean 0 and variance 1 over good pictures, as Batzner et al. 2024 ("EfficientAD") do:
    maps of a network that was never trained all point the same way.
    """

    def __init__(self, body: Body, plan: AnomalyPlan) -> None:
        super().__init__(body, plan)
        self.student = nn.ModuleDict({"bottleneck": Bottleneck(body.channels), "decoder": Decoder(body.channels)})
        if plan.alike:
            self.student["level"] = nn.ModuleList(nn.BatchNorm2d(count, affine=False) for count in body.channels)

    def get_classifier(self) -> nn.Module:
        return self.student

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of the scales add up; the score is the greatest value of their sum."""
        total: Tensor | None = None
        for truth, rebuilt in zip(*self._maps(images), strict=True):
            strange = self.finished(self._difference(truth, rebuilt).unsqueeze(1))
            total = strange if total is None else total + strange
        maps = cast(Tensor, total)
        return maps.flatten(1).amax(1), maps

    def loss(self, images: Tensor) -> Tensor:
        """How much the maps differ as wholes, summed over the scales: the mean over the pictures."""
        total = images.new_zeros(())
        for truth, rebuilt in zip(*self._maps(images), strict=True):
            total = total + self._difference(truth.flatten(1), rebuilt.flatten(1)).mean()
        return total

    def _difference(self, truth: Tensor, rebuilt: Tensor) -> Tensor:
        """(B, D, …) each to (B, …)."""
        if self.plan.alike:
            return (truth - rebuilt).square().mean(1)
        return 1 - functional.cosine_similarity(truth, rebuilt, dim=1)

    def _maps(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        with torch.no_grad():
            truth = [one.float() for one in self.body(images)]
            if self.plan.alike:
                levels = cast(nn.ModuleList, self.student["level"])
                truth = [level(one) for level, one in zip(levels, truth, strict=True)]
        rebuilt: list[Tensor] = self.student["decoder"](self.student["bottleneck"](truth))
        return truth, [one.float() for one in rebuilt]


class Bottleneck(nn.Module):
    """Maps at all scales to one of half the coarsest one's sides: what is rare does not get through."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        coarsest = channels[-1]
        self.narrow = nn.ModuleList()
        for place, own in enumerate(channels):
            steps = len(channels) - 1 - place
            layers = [_halving(own if step == 0 else coarsest, coarsest) for step in range(steps)]
            self.narrow.append(nn.Sequential(*layers) if layers else nn.Identity())
        joined = coarsest * len(channels)
        self.join = nn.Sequential(nn.Conv2d(joined, coarsest, 1, bias=False), nn.BatchNorm2d(coarsest), nn.ReLU())
        self.embed = ResidualBlock(coarsest, 2 * coarsest, 2)

    def forward(self, maps: list[Tensor]) -> Tensor:
        same = [layer(one) for layer, one in zip(self.narrow, maps, strict=True)]
        return cast(Tensor, self.embed(self.join(torch.cat(same, 1))))


class Decoder(nn.Module):
    """From the summary back to maps like the teacher's, the coarsest first; returned the finest first."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (2 * channels[-1], *reversed(channels[1:]))
        self.up = nn.ModuleList(
            nn.ModuleDict({"enlarge": _doubling(given, own), "refine": ResidualBlock(own, own, 1)})
            for given, own in zip(inputs, reversed(channels), strict=True)
        )
        self.out = nn.ModuleList(nn.Conv2d(own, own, 1) for own in reversed(channels))

    def forward(self, x: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for layer, out in zip(self.up, self.out, strict=True):
            parts = cast(nn.ModuleDict, layer)
            x = parts["refine"](parts["enlarge"](x))
            found.insert(0, out(x))
        return found


def _halving(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _doubling(inputs: int, outputs: int) -> nn.Module:
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())
