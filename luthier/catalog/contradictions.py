"""Hyperparameters that undo each other, or mean nothing beside each other: what holds then, and a note that says so.

The notes stand at the beginning of the training's log. Next: `strategies`, which asks for them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from luthier.catalog.generation import ANSWER_METRICS, GenerationPlan
from luthier.catalog.plan import UNCHANGED, ImagePlan, Plan, is_frozen
from luthier.catalog.translation import patience_notes
from luthier.catalog.vocabulary import NO_WEIGHTS

Values = Mapping[str, Any]

MULTIPLIERS = ("base_gradient_multiplier", "backbone_learning_rate_multiplier")


def settled(plan: Plan, values: Values) -> Plan:
    """The plan that was made of checked `values`, its fields agreeing with each other, with all notes."""
    notes = [*_on_epochs(plan, values), *_on_rates(plan, values), *_on_the_backbones_rate(plan, values)]
    if getattr(plan, "class_weights", "none") != "none" and plan.balanced_sampling:
        notes.append("class_weights and balanced_sampling together count rare concepts for more than frequent ones")
    return _with_answers(_with_still_pictures(replace(plan, notes=(*plan.notes, *notes))))


def _on_epochs(plan: Plan, values: Values) -> Iterator[str]:
    called = "trainer_config.num_train_epochs" if "trainer_config" in values else "num_epochs"
    every = plan.unfreeze_every_epochs
    if every and plan.trainable_layers == "head":
        yield "trainable_layers is head: unfreeze_every_epochs unfreezes nothing"
    elif every >= plan.epochs:
        yield f"unfreeze_every_epochs {every} is not below {called} {plan.epochs}: only the head is trained"
    yield from patience_notes(plan.early_stopping_epochs, plan.epochs, called)


def _on_rates(plan: Plan, values: Values) -> Iterator[str]:
    if values.get("momentum") and plan.optimizer != "sgd":
        yield f"optimizer is {plan.optimizer}: momentum is sgd's alone and means nothing"
    if values.get("per_item_min_lrate") and plan.schedule in ("step", "constant"):
        yield f"schedule is {plan.schedule}: the learning rate does not go down to per_item_min_lrate"


def _on_the_backbones_rate(plan: Plan, values: Values) -> Iterator[str]:
    for name in MULTIPLIERS:
        if name not in values:
            continue
        if values[name] != plan.backbone_multiplier:
            adapter = "peft_config is given: the base model stays as it is"
            random = f"pretrained_weights is {NO_WEIGHTS}: the backbone learns at the full rate"
            yield f"{adapter if values.get('peft_config') else random}, {name} means nothing"
        elif values[name] < 1 and values.get("pretrained_weights") == NO_WEIGHTS:
            start = f"pretrained_weights is {NO_WEIGHTS}"
            yield f"{start}: {name} {values[name]:g} slows down a backbone that starts from random weights"


def _with_still_pictures(plan: Plan) -> Plan:
    """What feature_cache asks of the other fields."""
    if getattr(plan, "feature_cache", "") != "on":
        return plan
    if not is_frozen(plan):
        return _noted(plan, "feature_cache is on, but the backbone learns: it is asked in every epoch")
    if not isinstance(plan, ImagePlan) or not plan.changes_pictures:
        return plan
    return _noted(replace(plan, **UNCHANGED), "feature_cache is on: training pictures are not changed at random")


def _with_answers(plan: Plan) -> Plan:
    """An epoch cannot be chosen by a metric that is not told."""
    metric = plan.early_stopping_metric
    if not isinstance(plan, GenerationPlan) or metric not in ANSWER_METRICS or plan.judge_answers:
        return plan
    return _noted(replace(plan, judge_answers=True), f"early_stopping_metric is {metric}: judge_answers is on")


def _noted(plan: Plan, note: str) -> Plan:
    return replace(plan, notes=(*plan.notes, note))
