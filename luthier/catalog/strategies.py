"""Strategies: hyperparameters that a template has beside its own, each a field of its plan. Their defaults are what the
template does anyway, so who gives none gets what is documented. Next: `vocabulary`, which declares them,
`contradictions`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from luthier.catalog import vocabulary
from luthier.catalog.contradictions import settled
from luthier.catalog.hyperparameters import Hyperparameter
from luthier.catalog.plan import Plan
from luthier.catalog.template import Template
from luthier.catalog.translation import late_cuts

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


def differing() -> list[str]:
    """Those of which each family of templates has choices of its own."""
    return [strategy.declare(None, ()).name for strategy in STRATEGIES if strategy.choices]


def of(template: Template) -> tuple[Hyperparameter, ...]:
    """Those that `with_strategies` gave the template; they come last."""
    known = names() if template.strategies else []
    own = [place for place, one in enumerate(template.hyperparameters, 1) if one.name not in known]
    return template.hyperparameters[max(own, default=0) :]


def with_strategies(template: Template) -> Template:
    """`template`, where it wants strategies, with each that its plan has a field for and that it does not declare."""
    if not template.strategies:
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
    """The template's own plan but for what the user wants otherwise."""
    wanted = {field: values[one.name] for field, one in added.items() if values[one.name] != one.default}
    notes = plan.notes
    if wanted.get("schedule") == "step":
        wanted["step_epochs"] = late_cuts(plan.epochs)
    elif "schedule" in wanted and plan.step_epochs:
        cuts = ", ".join(str(epoch) for epoch in plan.step_epochs)
        notes += (f"schedule is {wanted['schedule']}: the learning rate is not cut after epochs {cuts}",)
    return settled(replace(plan, notes=notes, **wanted), values)
