"""Tensors that a network holds under several names, as its embedding and its head, are kept under one of them."""

from typing import Any

from torch import nn


def leave_out_copies(network: nn.Module) -> None:
    """From now on `state_dict` has each tensor once, and `load_state_dict` does not miss the other names."""
    network.register_state_dict_post_hook(_drop)  # type: ignore[no-untyped-call]
    network.register_load_state_dict_post_hook(_do_not_miss)  # type: ignore[no-untyped-call]


def copies(network: nn.Module) -> set[str]:
    """Names of parameters that came before under another name."""
    first: dict[int, str] = {}
    every = network.named_parameters(remove_duplicate=False)
    return {name for name, parameter in every if first.setdefault(id(parameter), name) != name}


def _drop(network: nn.Module, tensors: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in copies(network):
        tensors.pop(prefix + name, None)


def _do_not_miss(network: nn.Module, keys: Any) -> None:
    left_out = copies(network)
    keys.missing_keys[:] = [name for name in keys.missing_keys if name not in left_out]
