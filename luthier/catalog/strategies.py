"""Strategies: hyperparameters that a template has beside its own, each a field of its plan. Their defaults are what the
template does anyway, so who gives none gets what is documented. Next: `vocabulary`, which declares them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from luthier.catalog import vocabulary
from luthier.catalog.hyperparameters import Hyperparameter
from luthier.catalog.plan import UNCHANGED, ImagePlan, Plan, is_frozen
from luthier.catalog.template import Template
from luthier.catalog.translation import late_cuts, patience_notes

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Strategy:
    """`declare` makes the hyperparameter from its default, and from the plan's `choices` where it names such a field.

    `own` are names that templates have for the same.
    """

    field: str  # of the plan
    declare: Callable[..., Hyperparameter]
    own: tuple[str, ...] = ()
    choices: str = ""


STRATEGIES = (
    Strategy("optimizer", vocabulary.optimizer),
    Strategy("schedule", vocabulary.schedule),
    Strategy("warmup_steps", vocabulary.warmup_iters),
    Strategy("weight_decay", vocabulary.weight_decay),
    Strategy("clip_gradient_norm", vocabulary.clip_gradient_norm),
    Strategy("ema_decay", vocabulary.ema_decay),
    Strategy("trainable_layers", vocabulary.trainable_layers),
    Strategy("unfreeze_every_epochs", vocabulary.unfreeze_every_epochs),
    Strategy("backbone_multiplier", vocabulary.any_gradient_multiplier, own=("backbone_learning_rate_multiplier",)),
    Strategy("layer_decay", vocabulary.layer_decay),
    Strategy("head_hidden_layers", vocabulary.head_hidden_layers),
    Strategy("head_hidden_width", vocabulary.head_hidden_width),
    Strategy("dropout", vocabulary.dropout),
    Strategy("stochastic_depth", vocabulary.stochastic_depth),
    Strategy("label_smoothing", vocabulary.label_smoothing),
    Strategy("color_jitter", vocabulary.color_jitter),
    Strategy("brightness_jitter", vocabulary.brightness_jitter),
    Strategy("contrast_jitter", vocabulary.contrast_jitter),
    Strategy("hue_jitter", vocabulary.hue_jitter),
    Strategy("random_augment", vocabulary.random_augment),
    Strategy("mixup_alpha", vocabulary.mixup_alpha),
    Strategy("cutmix_alpha", vocabulary.cutmix_alpha),
    Strategy("early_stopping_epochs", vocabulary.early_stopping_epochs),
    Strategy("early_stopping_metric", vocabulary.early_stopping_metric, choices="metrics"),
    Strategy("accumulate", vocabulary.accumulate),
    Strategy("gradient_checkpointing", vocabulary.gradient_checkpointing),
    Strategy("class_weights", vocabulary.class_weights),
    Strategy("balanced_sampling", vocabulary.balanced_sampling),
    Strategy("feature_cache", vocabulary.feature_cache),
)


def names() -> list[str]:
    """What the strategies are called in `train_info.params`."""
    return [strategy.declare(None, *([()] if strategy.choices else [])).name for strategy in STRATEGIES]


def of(template: Template) -> tuple[Hyperparameter, ...]:
    """Those that `with_strategies` gave the template; they come last."""
    known = names() if template.strategies else []
    own = [place for place, one in enumerate(template.hyperparameters, 1) if one.name not in known]
    return template.hyperparameters[max(own, default=0) :]


def with_strategies(template: Template) -> Template:
    """`template`, where it wants strategies, with each that its plan has a field for and that it does not declare."""
    if not template.strategies or template.plan is None:
        return template
    own, defaults = template.plan, template.plan(template.defaults())
    names = {parameter.name for parameter in template.hyperparameters}
    added: dict[str, Hyperparameter] = {}
    for strategy in STRATEGIES:
        if strategy.field in template.without or not hasattr(defaults, strategy.field) or names & {*strategy.own}:
            continue
        choices = [getattr(defaults, strategy.choices)] if strategy.choices else []
        parameter = strategy.declare(getattr(defaults, strategy.field), *choices)
        if parameter.name not in names and all(choices):
            added[strategy.field] = parameter
    return replace(
        template,
        hyperparameters=(*template.hyperparameters, *added.values()),
        plan=lambda values: _changed(own(values), values, added),
    )


def _changed(plan: Plan, values: Values, added: Mapping[str, Hyperparameter]) -> Plan:
    """The template's own plan but for what the user wants otherwise; what contradicts itself becomes a note."""
    wanted = {field: values[one.name] for field, one in added.items() if values[one.name] != one.default}
    notes = [*plan.notes]
    if wanted.get("schedule") == "step":
        wanted["step_epochs"] = late_cuts(plan.epochs)
    elif "schedule" in wanted and plan.step_epochs:
        cuts = ", ".join(str(epoch) for epoch in plan.step_epochs)
        notes.append(f"schedule is {wanted['schedule']}: the learning rate is not cut after epochs {cuts}")
    changed = replace(plan, **wanted)
    if changed.unfreeze_every_epochs and changed.trainable_layers == "head":
        notes.append("trainable_layers is head: unfreeze_every_epochs unfreezes nothing")
    elif changed.unfreeze_every_epochs >= changed.epochs:
        notes.append(
            f"unfreeze_every_epochs {changed.unfreeze_every_epochs} is not below num_epochs {changed.epochs}: "
            "only the head is trained"
        )
    if "early_stopping_epochs" in wanted:
        notes += patience_notes(values)
    if getattr(changed, "class_weights", "none") != "none" and changed.balanced_sampling:
        notes.append("class_weights and balanced_sampling together count rare concepts for more than frequent ones")
    changed, more = _still(changed)
    return replace(changed, notes=(*notes, *more))


def _still(plan: Plan) -> tuple[Plan, list[str]]:
    """What feature_cache asks of the other fields, and a note on it."""
    if getattr(plan, "feature_cache", "") != "on":
        return plan, []
    if not is_frozen(plan):
        return plan, ["feature_cache is on, but the backbone learns: it is asked in every epoch"]
    if not isinstance(plan, ImagePlan) or not plan.changes_pictures:
        return plan, []
    return replace(plan, **UNCHANGED), ["feature_cache is on: training pictures are not changed at random"]
