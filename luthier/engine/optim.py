"""Which optimizer, which parameters in which group, and the schedule of the rate. Next: `optimizers`."""

import math

from torch import nn

from luthier.catalog.plan import Plan
from luthier.engine.optimizers import SGD, AdamW, Group, Lamb, Lion, Optimizer
from luthier.engine.stages import stages_of
from luthier.errors import InvalidTrainingParams, shown


def optimizer_for(network: nn.Module, plan: Plan) -> Optimizer:
    """Raises InvalidTrainingParams for an unknown optimizer."""
    groups = parameter_groups(network, plan)
    if plan.optimizer == "adamw":
        return AdamW(groups)
    if plan.optimizer == "sgd":
        return SGD(groups, momentum=plan.momentum)
    if plan.optimizer == "lion":
        return Lion(groups)
    if plan.optimizer == "lamb":
        return Lamb(groups)
    raise InvalidTrainingParams(f"optimizer is {shown(plan.optimizer)}; give adamw, sgd, lion or lamb")


def parameter_groups(network: nn.Module, plan: Plan) -> list[Group]:
    """What has gradients, by rate and by decay. Vectors (norms, biases) never decay; the head learns at the full rate.

    Where stages thaw one after another each has a group of its own, as a group counts its steps.
    """
    stages = stages_of(network)
    found: dict[tuple[int, float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            above = stages.count - stages.of_parameter(name)  # stages, the head counted
            scale = plan.backbone_multiplier * plan.layer_decay**above if above else 1.0
            group = above if plan.unfreeze_every_epochs else int(above > 0)
            found.setdefault((-group, scale, parameter.ndim > 1), []).append(parameter)
    return [
        Group(parameters, weight_decay=plan.weight_decay if decays else 0.0, scale=scale)
        for (_, scale, decays), parameters in sorted(found.items(), key=lambda item: item[0])
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
    done = max(0, step - warmup) / max(1, total_steps - warmup)
    span = plan.learning_rate - plan.final_learning_rate
    if plan.schedule == "linear":
        return plan.final_learning_rate + span * (1 - done)
    if plan.schedule == "cosine":
        return plan.final_learning_rate + span * (1 + math.cos(math.pi * done)) / 2
    raise InvalidTrainingParams(f"schedule is {shown(plan.schedule)}; give cosine, step, linear or constant")
