"""Gradient checkpointing (Chen et al. 2016): blocks keep only what they were given and compute the rest a second time
when the gradients are. A network then needs less memory for its activations and about a third more time.
"""

import functools
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def enable(network: nn.Module) -> str:
    """Makes every block of the network compute twice; a line for the log. A copy of it made later is not to be used."""
    if any(_has_prefix(part) for part in network.modules()):
        return "Note: blocks with a learnt prefix cannot be computed twice: gradient_checkpointing changes nothing."
    for part in network.modules():
        if hasattr(config := getattr(part, "config", None), "use_cache"):
            config.use_cache = False  # type: ignore[union-attr] # a language model's; it would be filled twice
    blocks = blocks_of(network)
    for block in blocks:
        block.forward = _computed_twice(block)
    if not blocks:
        return "Note: this network has no repeated blocks: gradient_checkpointing changes nothing."
    return f"Gradient checkpointing: {len(blocks)} blocks are computed twice instead of being kept in memory."


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The outermost modules that hold at least two layers with weights and whose kind occurs more than once."""
    large = {
        name: part
        for name, part in network.named_modules()
        if name and not isinstance(part, CONTAINERS) and sum(isinstance(layer, LAYERS) for layer in part.modules()) > 1
    }
    often = Counter(type(part) for part in large.values())
    repeated = [name for name, part in large.items() if often[type(part)] > 1]
    outermost: list[str] = []
    for name in repeated:  # a module comes before what it holds
        if not any(name.startswith(f"{outer}.") for outer in outermost):
            outermost.append(name)
    return [large[name] for name in outermost]


def _has_prefix(part: nn.Module) -> bool:
    """Whether it is a model of peft with prefix tuning, which passes its prefix in a cache that blocks add to."""
    configs = getattr(part, "peft_config", None)
    return isinstance(configs, dict) and any("PREFIX" in str(config.peft_type) for config in configs.values())


def _computed_twice(block: nn.Module) -> Any:
    once = block.forward

    @functools.wraps(once)
    def twice(*given: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return once(*given, **named)
        return checkpoint(once, *given, use_reentrant=False, context_fn=contexts, **named)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _still_statistics(block)

    return twice


@contextmanager
def _still_statistics(block: nn.Module) -> Iterator[None]:
    """The second time, batch normalisations must not take what they see into their running statistics again."""
    norms = [part for part in block.modules() if isinstance(part, _BatchNorm) and part.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
