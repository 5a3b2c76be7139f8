"""Stages of a network, from the stem to the last before the head: which of them learn, and in which epoch.

A network names the modules where its stages end (`ends_of_stages`, timm's `feature_info`); of one that names none, the
items of its longest list of layers are its stages. Next: `optim`, which gives each stage its rate.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from luthier.catalog.plan import Plan
from luthier.engine.backbones import head_of


@dataclass(frozen=True)
class Stages:
    """The stage of each module by its name, counted from 0; the head belongs to none."""

    of_module: dict[str, int]
    count: int

    def of_parameter(self, name: str) -> int:
        """`count` for the head's."""
        return self.of_module.get(name.rpartition(".")[0], self.count)


def stages_of(network: nn.Module) -> Stages:
    """What lies before the end of a stage belongs to it, what follows the last one, as a norm or neck, to the last."""
    head = {id(module) for module in head_of(network).modules()}
    ends = [_plain(end) for end in _ends(network, head)]
    found: dict[str, int] = {}
    ended = 0
    for name, module in network.named_modules():
        if id(module) in head:
            continue
        plain = _plain(name)
        inside = next((n for n, end in enumerate(ends) if plain == end or plain.startswith(f"{end}_")), None)
        found[name] = ended if inside is None else inside
        ended = max(ended, found[name] + (inside is not None))
    last = min(max(found.values(), default=0), max(0, len(ends) - 1))
    return Stages({name: min(stage, last) for name, stage in found.items()}, last + 1)


def _ends(network: nn.Module, head: set[int]) -> list[str]:
    lists: list[tuple[str, nn.ModuleList]] = []
    for name, module in network.named_modules():
        if id(module) in head:
            continue
        own = getattr(module, "ends_of_stages", None) or _of_timm(module)
        if own:
            return [f"{name}.{end}" if name else end for end in own]
        if isinstance(module, nn.ModuleList):
            lists.append((name, module))
    longest = max(lists, key=lambda one: len(one[1]), default=None)
    if longest is None or len(longest[1]) < 2:
        return [name for name, _ in network.named_children()]
    return [f"{longest[0]}.{place}" for place in range(len(longest[1]))]


def _of_timm(module: nn.Module) -> list[str]:
    info: Any = getattr(module, "feature_info", None)
    return [one["module"] for one in getattr(info, "info", info) or []]


def _plain(name: str) -> str:
    """timm writes `stages.0` as `stages_0` where it takes a network apart."""
    return name.replace(".", "_")


def learning_stages(plan: Plan, count: int, epoch: int) -> int:
    """How many of `count` stages learn in `epoch`, counted from 0 and from the last stage backwards."""
    most = count
    if plan.trainable_layers == "head" or plan.backbone_multiplier == 0:
        most = 0
    elif plan.trainable_layers.startswith("last_"):
        most = min(count, int(plan.trainable_layers.removeprefix("last_")))
    return min(most, epoch // plan.unfreeze_every_epochs) if plan.unfreeze_every_epochs else most


def freeze(network: nn.Module, plan: Plan, epoch: int) -> None:
    """What does not learn in `epoch` gets no gradients; `training_mode` keeps its buffers still as well.

    A part that has a `freeze` of its own, as a detector's body has for its first stages, is asked too.
    """
    stages = stages_of(network)
    first = stages.count - learning_stages(plan, stages.count, epoch)
    for name, parameter in network.named_parameters():
        learns = stages.of_parameter(name) >= first and parameter.is_floating_point()  # not one that is quantised
        parameter.requires_grad_(learns)
    for part in network.modules():
        if callable(own := getattr(part, "freeze", None)):
            own()


def training_mode(network: nn.Module, plan: Plan, epoch: int) -> None:
    """Readies the network for `epoch`: what learns in training mode, what is frozen in evaluation mode, so that the
    statistics of its normalisations stay."""
    freeze(network, plan, epoch)
    network.train()
    stages = stages_of(network)
    first = stages.count - learning_stages(plan, stages.count, epoch)
    modules = dict(network.named_modules())
    awake: set[str] = set()  # what learns, and all that holds any of it: a detector may make its targets in training
    for name in modules:
        if stages.of_module.get(name, stages.count) >= first:
            parts = name.split(".")
            awake |= {".".join(parts[:length]) for length in range(len(parts) + 1)}
    for name in modules.keys() - awake:
        modules[name].training = False
