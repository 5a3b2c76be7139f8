"""Our optimizers make the same numbers as the published ones; groups and schedules are what the plan says."""

from collections.abc import Callable
from typing import Any

import pytest
import timm.optim.lamb
import timm.optim.lion
import torch
from torch import nn

from luthier.catalog.plan import Plan
from luthier.engine.optim import optimizer_for, parameter_groups, rate_at, set_rate, warmup_steps
from luthier.engine.optimizers import SGD, AdamW, Group, Lamb, Lion, Optimizer
from luthier.engine.small_networks import TinyResNet
from luthier.errors import InvalidTrainingParams

Theirs = Callable[[Any], torch.optim.Optimizer]
PAIRS: dict[str, tuple[Callable[[list[Group]], Optimizer], Theirs]] = {
    "adamw": (AdamW, lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
    "sgd": (SGD, lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.1, momentum=0.9, nesterov=True)),
    "lion": (Lion, lambda p: timm.optim.lion.Lion(p, lr=0.01, weight_decay=0.1)),
    "lamb": (Lamb, lambda p: timm.optim.lamb.Lamb(p, lr=0.01, weight_decay=0.1, max_grad_norm=1.0)),
}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))


@pytest.mark.parametrize("name", PAIRS)
def test_same_numbers_as_the_published_optimizer(name: str) -> None:
    make_ours, make_theirs = PAIRS[name]
    ours, theirs = network(), network()
    optimizer = make_ours([Group(list(ours.parameters()), weight_decay=0.1, rate=0.01)])
    reference = make_theirs(theirs.parameters())
    for step in range(20):
        torch.manual_seed(step)
        batch = torch.randn(4, 5)
        for one, net in ((optimizer, ours), (reference, theirs)):
            one.zero_grad()
            net(batch).square().sum().mul(10).backward()
            one.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-5)


def test_norms_and_biases_never_decay_and_the_backbone_has_its_own_rate() -> None:
    net = TinyResNet(3)
    groups = parameter_groups(net, Plan(1, 8, 0.5, weight_decay=0.1, backbone_multiplier=0.25))
    for group in groups:
        assert all((p.ndim > 1) == (group.weight_decay > 0) for p in group.parameters)
        in_head = any(p is net.head.weight or p is net.head.bias for p in group.parameters)
        assert group.scale == (1.0 if in_head else 0.25)
    assert sum(len(group.parameters) for group in groups) == len(list(net.parameters()))
    optimizer = AdamW(groups)
    set_rate(optimizer, 0.5)
    assert {group.rate for group in optimizer.groups} == {0.5, 0.125}


def test_each_stage_before_the_head_learns_slower_by_the_layer_decay() -> None:
    net = TinyResNet(3)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    scales = {
        names[id(parameter)].partition(".")[0]: group.scale
        for group in parameter_groups(net, Plan(1, 8, 0.5, layer_decay=0.5, backbone_multiplier=0.1))
        for parameter in group.parameters
    }
    assert scales == pytest.approx({"stem": 0.00625, "stage1": 0.0125, "stage2": 0.025, "stage3": 0.05, "head": 1.0})


def test_a_parameter_that_thaws_late_is_stepped_as_one_that_was_never_frozen() -> None:
    """Adam's correction counts the steps of a group, so the first step of a stage is not too long."""
    late, fresh = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    old = nn.Parameter(torch.ones(2, 2))
    optimizer, reference = AdamW([Group([old]), Group([late])]), AdamW([Group([fresh])])
    for step in range(8):
        gradient = torch.full((2, 2), 1.0 + step)
        for one in (optimizer, reference):
            set_rate(one, 0.1)
        old.grad = gradient
        if step >= 5:
            late.grad = fresh.grad = gradient
            reference.step()
        optimizer.step()
    assert torch.equal(late, fresh) and not torch.equal(old, late)


def test_unknown_optimizer_and_schedule_name_what_there_is() -> None:
    with pytest.raises(InvalidTrainingParams, match="give adamw, sgd, lion or lamb"):
        optimizer_for(TinyResNet(2), Plan(1, 8, 0.1, optimizer="rmsprop"))
    with pytest.raises(InvalidTrainingParams, match="give cosine, step, linear or constant"):
        rate_at(0, 1, 1, Plan(1, 8, 0.1, schedule="poly"))


def test_warm_up_rises_and_is_at_most_a_tenth() -> None:
    plan = Plan(10, 8, 1.0, schedule="constant", warmup_steps=50, warmup_ratio=0.1)
    assert warmup_steps(100, plan) == 10
    rates = [rate_at(step, 10, 100, plan) for step in range(12)]
    assert rates[:11] == sorted(rates[:11])
    assert 0.1 < rates[0] < 0.3
    assert rates[10] == rates[11] == 1.0


def test_cosine_ends_where_it_is_told_and_steps_fall_after_their_epochs() -> None:
    cosine = Plan(2, 8, 1.0, schedule="cosine", final_learning_rate=0.1)
    assert rate_at(0, 50, 100, cosine) == 1.0
    assert rate_at(50, 50, 100, cosine) == pytest.approx(0.55)
    assert rate_at(99, 50, 100, cosine) == pytest.approx(0.1, abs=0.001)
    linear = Plan(2, 8, 1.0, schedule="linear", final_learning_rate=0.1)
    assert [rate_at(step, 50, 100, linear) for step in (0, 50, 100)] == pytest.approx([1.0, 0.55, 0.1])
    steps = Plan(4, 8, 1.0, schedule="step", step_epochs=(2, 3), step_factor=0.1)
    assert [rate_at(epoch * 10, 10, 40, steps) for epoch in range(4)] == pytest.approx([1.0, 1.0, 0.1, 0.01])
