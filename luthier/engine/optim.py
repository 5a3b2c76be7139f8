"""Which optimizer, which parameters in which group, and the schedule of the rate. Next: `optimizers`."""

import math

from torch import nn

from luthier.catalog.plan import Plan
from luthier.engine.backbones import head_names
from luthier.engine.optimizers import SGD, AdamW, Group, Lamb, Optimizer
from luthier.errors import InvalidTrainingParams, shown


def optimizer_for(network: nn.Module, plan: Plan) -> Optimizer:
    """Raises InvalidTrainingParams for an unknown optimizer."""
    groups = parameter_groups(network, plan)
    if plan.optimizer == "adamw":
        return AdamW(groups)
    if plan.optimizer == "sgd":
        return SGD(groups, momentum=plan.momentum)
    if plan.optimizer == "lamb":
        return Lamb(groups)
    raise InvalidTrainingParams(f"optimizer is {shown(plan.optimizer)}; give adamw, sgd or lamb")


def parameter_groups(network: nn.Module, plan: Plan) -> list[Group]:
    """Up to four groups: backbone and head, each with and without decay. Vectors (norms, biases) never decay."""
    head = head_names(network)
    found: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            found.setdefault((name in head, parameter.ndim > 1), []).append(parameter)
    return [
        Group(
            parameters,
            weight_decay=plan.weight_decay if decays else 0.0,
            scale=1.0 if in_head else plan.backbone_multiplier,
        )
        for (in_head, decays), parameters in sorted(found.items(), key=lambda item: item[0])
    ]


def set_rate(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.groups:
        group.rate = rate * group.scale


def rate_at(step: int, steps_per_epoch: int, total_steps: int, plan: Plan) -> float:
    """Learning rate of the head for step `step`, counted from 0: a linear warm-up, then the plan's schedule."""
    warmup = warmup_steps(total_steps, plan)
    scheduled = _scheduled(step, warmup, steps_per_epoch, total_steps, plan)
    if step >= warmup:
        return scheduled
    share = plan.warmup_ratio + (1 - plan.warmup_ratio) * (step + 1) / (warmup + 1)
    return scheduled * share


def warmup_steps(total_steps: int, plan: Plan) -> int:
    return min(plan.warmup_steps, total_steps // 10)


def _scheduled(step: int, warmup: int, steps_per_epoch: int, total_steps: int, plan: Plan) -> float:
    if plan.schedule == "constant":
        return plan.learning_rate
    if plan.schedule == "step":
        drops = sum(step >= epoch * steps_per_epoch for epoch in plan.step_epochs)
        return float(plan.learning_rate * plan.step_factor**drops)
    if plan.schedule == "cosine":
        done = max(0, step - warmup) / max(1, total_steps - warmup)
        span = plan.learning_rate - plan.final_learning_rate
        return plan.final_learning_rate + span * (1 + math.cos(math.pi * done)) / 2
    raise InvalidTrainingParams(f"schedule is {shown(plan.schedule)}; give constant, cosine or step")
