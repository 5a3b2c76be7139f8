"""AdamW, SGD, LAMB and Lion, each a few lines over lists of tensors. Next: `optim`, which sorts parameters into groups.

torch's own classes import its compiler when they are made, which takes two seconds of every start. The tests hold
these to the same numbers.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

Tensor = torch.Tensor


@dataclass
class Group:
    """Parameters that share a rate and a decay. `scale` multiplies the scheduled rate; `steps` counts the updates."""

    parameters: list[nn.Parameter]
    weight_decay: float = 0.0
    scale: float = 1.0
    rate: float = 0.0
    steps: int = 0


@dataclass
class Optimizer:
    """`state` holds tensors shaped like their parameter."""

    groups: list[Group]
    state: dict[Tensor, dict[str, Tensor]] = field(default_factory=dict)

    def step(self) -> None:
        """Changes every parameter that has a gradient."""
        with torch.no_grad():
            self.prepare([p for group in self.groups for p in group.parameters if p.grad is not None])
            for group in self.groups:
                parameters: list[Tensor] = [p for p in group.parameters if p.grad is not None]
                if parameters:
                    group.steps += 1
                    self.update(parameters, [p.grad for p in parameters if p.grad is not None], group)

    def prepare(self, parameters: list[Tensor]) -> None:
        """What is done to all gradients before any update."""

    def update(self, parameters: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        raise NotImplementedError

    def zero_grad(self) -> None:
        for group in self.groups:
            for parameter in group.parameters:
                parameter.grad = None

    def slots(self, parameters: Iterable[Tensor], name: str) -> list[Tensor]:
        """The state called `name` of each parameter, zeros at first, laid out in memory as the parameter is."""
        found = []
        for parameter in parameters:
            own = self.state.setdefault(parameter, {})
            if name not in own:
                own[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            found.append(own[name])
        return found


@dataclass
class SGD(Optimizer):
    """With momentum, Nesterov's form; the decay is added to the gradient."""

    momentum: float = 0.9

    def update(self, parameters: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        if group.weight_decay:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group.weight_decay))
        if self.momentum:
            velocities = self.slots(parameters, "velocity")
            torch._foreach_mul_(velocities, self.momentum)
            torch._foreach_add_(velocities, gradients)
            gradients = list(torch._foreach_add(gradients, velocities, alpha=self.momentum))
        torch._foreach_add_(parameters, gradients, alpha=-group.rate)


@dataclass
class AdamW(Optimizer):
    """Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2."""

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def update(self, parameters: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        """In one pass over the memory, by torch's own kernel: one operation after the other takes many."""
        torch._fused_adamw_(
            parameters,
            [_laid_out_as(parameter, gradient) for parameter, gradient in zip(parameters, gradients, strict=True)],
            self.slots(parameters, "mean"),
            self.slots(parameters, "square"),
            [],
            [torch.tensor(float(group.steps), device=parameters[0].device)] * len(parameters),
            lr=group.rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=group.weight_decay,
            eps=self.epsilon,
            amsgrad=False,
            maximize=False,
        )


@dataclass
class Lion(Optimizer):
    """Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2: every step has the same size."""

    betas: tuple[float, float] = (0.9, 0.99)

    def update(self, parameters: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        if group.weight_decay:
            torch._foreach_mul_(parameters, 1 - group.rate * group.weight_decay)
        means = self.slots(parameters, "mean")
        directions = list(torch._foreach_lerp(means, gradients, 1 - self.betas[0]))
        torch._foreach_sign_(directions)
        torch._foreach_add_(parameters, directions, alpha=-group.rate)
        torch._foreach_lerp_(means, gradients, 1 - self.betas[1])


@dataclass
class Lamb(Optimizer):
    """You et al. 2019, "Large Batch Optimization for Deep Learning", algorithm 2.

    The update is scaled by the norm of the weights over its own norm, for weights that decay. Gradients are first
    scaled to a norm of at most 1 over all parameters, as in the recipes of "ResNet strikes back".
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-6
    largest_gradient_norm: float = 1.0

    def prepare(self, parameters: list[Tensor]) -> None:
        nn.utils.clip_grad_norm_(parameters, self.largest_gradient_norm)

    def update(self, parameters: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        means, denominators = self._moments(parameters, gradients, group.steps)
        updates = list(torch._foreach_div(means, denominators))
        torch._foreach_div_(updates, 1 - self.betas[0] ** group.steps)
        if group.weight_decay:
            torch._foreach_add_(updates, parameters, alpha=group.weight_decay)
            torch._foreach_mul_(updates, self._trust(parameters, updates))
        torch._foreach_add_(parameters, updates, alpha=-group.rate)

    def _moments(
        self, parameters: list[Tensor], gradients: list[Tensor], steps: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The running mean of the gradients, not corrected, and the root of their corrected running mean square."""
        means, squares = self.slots(parameters, "mean"), self.slots(parameters, "square")
        torch._foreach_lerp_(means, gradients, 1 - self.betas[0])
        torch._foreach_mul_(squares, self.betas[1])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - self.betas[1])
        denominators = list(torch._foreach_sqrt(squares))
        torch._foreach_div_(denominators, math.sqrt(1 - self.betas[1] ** steps))
        torch._foreach_add_(denominators, self.epsilon)
        return means, denominators

    def _trust(self, parameters: list[Tensor], updates: list[Tensor]) -> list[Tensor]:
        weights, sizes = torch._foreach_norm(parameters), torch._foreach_norm(updates)
        return [
            torch.where((weight > 0) & (size > 0), weight / size, torch.ones_like(weight))
            for weight, size in zip(weights, sizes, strict=True)
        ]


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with its numbers in memory in the parameter's order, which the fused kernel takes for granted."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
