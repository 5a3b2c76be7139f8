"""LAMB, Adam whose step is scaled per layer: You et al. 2019, "Large Batch Optimization", algorithm 2."""

from collections.abc import Callable
from typing import Any

import torch


class Lamb(torch.optim.Optimizer):
    """Trust ratio = norm of the weights over norm of the update, for weights that decay; 1 for the others.

    The gradient is first scaled to a norm of at most 1 over all parameters, as in the recipes of "ResNet strikes back".
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        max_gradient_norm: float = 1.0,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self.max_gradient_norm = max_gradient_norm

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        every = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(every, self.max_gradient_norm)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        beta1, beta2 = group["betas"]
        state["step"] += 1
        step = float(state["step"])
        state["exp_avg"].lerp_(gradient, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        denominator = (state["exp_avg_sq"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
        update = (state["exp_avg"] / (1 - beta1**step)) / denominator + group["weight_decay"] * parameter
        parameter.sub_(update * (group["lr"] * _trust(parameter, update, group["weight_decay"])))


def _trust(parameter: torch.Tensor, update: torch.Tensor, weight_decay: float) -> float:
    if weight_decay == 0:
        return 1.0
    weight_norm, update_norm = float(parameter.norm()), float(update.norm())
    return weight_norm / update_norm if weight_norm > 0 and update_norm > 0 else 1.0
