"""Bodies: what turns a picture into maps of features, before a head looks at them. Weights, frozen stages, norms.

Names are those of `engine/backbones`: `timm/NAME`, and our own `luthier/bn_inception`. Next: `pyramid`.
"""

from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from luthier.catalog.weights import require
from luthier.engine import backbones
from luthier.engine.bn_inception import BNInception
from luthier.errors import CorruptFile, InvalidTrainingParams, shown

Tensor = torch.Tensor


class Body(nn.Module):
    """Pictures (B, 3, H, W) to a list of maps, the largest first; `strides` and `channels` are theirs."""

    strides: tuple[int, ...]
    channels: tuple[int, ...]

    def __init__(self, frozen_stages: int = 0, still_norms: bool = False) -> None:
        super().__init__()
        self.frozen_stages = frozen_stages
        self.still_norms = still_norms

    def stages(self) -> list[list[nn.Module]]:
        """The stem and then each stage, as they may be frozen."""
        raise NotImplementedError

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Fills every tensor from those of the whole network, under its names; raises CorruptFile where one lacks."""
        own = self.state_dict()
        missing = [name for name in own if self.source_name(name) not in tensors]
        unfit = [n for n in own if n not in missing and tensors[self.source_name(n)].shape != own[n].shape]
        if missing or unfit:
            raise CorruptFile(f"weights do not fit: {len(missing)} missing, {len(unfit)} of another shape, as "
                              f"{(missing + unfit)[0]}; add the right file: luthier weights add")  # fmt: skip
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(tensors[self.source_name(name)])

    def source_name(self, name: str) -> str:
        return name

    def freeze(self) -> None:
        for module in self._frozen():
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> "Body":
        """Frozen stages stay in evaluation mode, and where `still_norms` all batch normalisations do."""
        super().train(mode)
        still = self._frozen() + ([m for m in self.modules() if isinstance(m, _BatchNorm)] if self.still_norms else [])
        for module in still:
            module.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        if not self.frozen_stages:
            return []
        return [module for stage in self.stages()[: self.frozen_stages + 1] for module in stage]


class TimmBody(Body):
    """Maps of a network of timm at `strides`."""

    def __init__(self, name: str, strides: tuple[int, ...], stochastic_depth: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        import timm  # takes seconds, and our own bodies do without it

        if not timm.is_model(name):
            raise InvalidTrainingParams(f"backbone is {shown('timm/' + name)}; timm has no such network")
        known: Any = timm.create_model(name, pretrained=False, features_only=True).feature_info
        places = [known.reduction().index(stride) for stride in strides]
        skipping: dict[str, Any] = {"drop_path_rate": stochastic_depth} if stochastic_depth else {}
        network: Any = timm.create_model(name, pretrained=False, features_only=True, out_indices=places, **skipping)
        self.network = network
        self.strides = strides
        self.channels = tuple(network.feature_info.channels())
        self._ends = [info["module"].replace(".", "_") for info in known.info]

    def forward(self, images: Tensor) -> list[Tensor]:
        return cast(list[Tensor], self.network(images))

    def stages(self) -> list[list[nn.Module]]:
        found: list[list[nn.Module]] = [[]]
        for name, module in self.network.named_children():
            found[-1].append(module)
            if name in self._ends:
                found.append([])
        return found

    def source_name(self, name: str) -> str:
        """timm writes `features.3` as `features_3` where it takes a network apart."""
        name = name.removeprefix("network.")
        return name.replace("features_", "features.", 1) if name.startswith("features_") else name


class InceptionBody(Body):
    """BN-Inception's maps at strides 8, 16 and 32."""

    strides = (8, 16, 32)
    channels = (320, 576, 1024)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = BNInception(1)
        del self.network.head

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.network.forward_stages(images)

    def stages(self) -> list[list[nn.Module]]:
        net = self.network
        return [
            [net.conv1, net.conv2],
            [net.mod3a, net.mod3b],
            [net.mod3c, net.mod4a, net.mod4b, net.mod4c, net.mod4d],
            [net.mod4e, net.mod5a, net.mod5b],
        ]

    def source_name(self, name: str) -> str:
        return name.removeprefix("network.")


def body_of(
    name: str,
    strides: tuple[int, ...],
    weights_folder: str,
    weights: str,
    frozen_stages: int,
    still_norms: bool,
    stochastic_depth: float = 0.0,
) -> Body:
    """The body `name`; with `weights` theirs, and then stages and norms as told. A random body learns as a whole.

    Raises MissingWeights, CorruptFile, InvalidTrainingParams.
    """
    kept: dict[str, Any] = {"frozen_stages": frozen_stages, "still_norms": still_norms}
    if name == "luthier/bn_inception":
        body: Body = InceptionBody(**kept)
    else:
        body = TimmBody(name.removeprefix("timm/"), strides, stochastic_depth, **kept)
    if weights:
        body.load(backbones.read_weights(require(Path(weights_folder), weights)))
    return body
