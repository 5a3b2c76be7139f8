"""The learning rate's schedule: `lr_config` and `param_scheduler` -> fields of a Plan. Next: `training`, which asks."""

from typing import Any

from luthier.catalog.own_config.section import Section, checked_number, refuse, wrong

Fields = dict[str, Any]
POLICIES = {"step": "step", "CosineAnnealing": "cosine", "poly": "linear", "fixed": "constant"}
SCHEDULERS = {"MultiStepLR": "step", "StepLR": "step", "CosineAnnealingLR": "cosine", "PolyLR": "linear"}
MOST_STEPS = 1_000_000
MOST_CUTS = 100


def of_lr_config(section: Section, epochs: int, rate: float) -> Fields:
    kind = section.choice("policy", POLICIES)
    fields: Fields = {"schedule": kind}
    # between steps or between epochs the curve is the same, but for the epochs that a step names
    section.only("by_epoch", *([True] if kind == "step" else [True, False]))
    if kind == "step":
        steps = section.take("step")
        one = isinstance(steps, int)
        fields["step_epochs"] = _every(steps, epochs, section, "step") if one else _listed(steps, section, "step")
        fields["step_factor"] = section.number("gamma", 0, 1, 0.1)
    elif kind == "cosine":
        share = section.number("min_lr_ratio", 0, 1, 0.0)
        fields["final_learning_rate"] = section.number("min_lr", 0, max(rate, 1e-12), rate * share)
    elif kind == "linear":
        section.only("power", 1.0)
        fields["final_learning_rate"] = section.number("min_lr", 0, max(rate, 1e-12), 0.0)
    warmup = section.take("warmup")
    steps, ratio = section.whole("warmup_iters", 0, MOST_STEPS, 0), section.number("warmup_ratio", 0, 1, 0.1)
    section.only("warmup_by_epoch", False)
    if warmup not in (None, "linear"):
        raise wrong(section.at("warmup"), warmup, "'linear' or None")
    section.end()
    return fields | ({"warmup_steps": steps, "warmup_ratio": ratio} if warmup else {})


def of_param_scheduler(given: Any, epochs: int, rate: float, notes: list[str]) -> Fields:
    """At most one that rises, first, and one that falls."""
    listed = given if isinstance(given, list) else [] if given is None else [given]
    fields: Fields = {"schedule": "constant"}
    for place, one in enumerate(listed):
        section = Section(one, {}, f"param_scheduler[{place}]", notes)
        kind = section.take("type")
        if kind == "LinearLR" and place == 0:
            fields |= _rising(section)
        elif kind in SCHEDULERS and place == len(listed) - 1:
            fields |= _falling(section, SCHEDULERS[kind], kind, epochs, rate)
        else:
            refuse(f"{section.path}.type", f"is {kind!a}; give LinearLR and then one of {', '.join(SCHEDULERS)}")
        section.end()
    return fields


def _rising(section: Section) -> Fields:
    ratio = section.number("start_factor", 0, 1, 1 / 3)
    section.only("end_factor", 1.0)
    section.only("begin", 0)
    if section.take("by_epoch", True) is not False:
        refuse(f"{section.path}.by_epoch", "is True; Luthier warms up by steps: give by_epoch=False and end in steps")
    return {"warmup_steps": section.whole("end", 0, MOST_STEPS, 0), "warmup_ratio": ratio}


def _falling(section: Section, schedule: str, kind: str, epochs: int, rate: float) -> Fields:
    fields: Fields = {"schedule": schedule}
    by_epoch = section.take("by_epoch", True)
    section.take("convert_to_iter_based")
    if schedule == "step":
        section.take("end")
    elif by_epoch:  # it must fall over the whole training
        section.only("end", epochs)
        section.only("T_max", epochs)
    else:
        section.ignore(("begin", "end", "T_max"), "the rate falls from the end of warm-up to the end of training")
    section.only("begin", 0)
    if kind == "MultiStepLR":
        fields["step_epochs"] = _listed(section.take("milestones"), section, "milestones")
    elif kind == "StepLR":
        fields["step_epochs"] = _every(section.take("step_size"), epochs, section, "step_size")
    elif kind == "PolyLR":
        section.only("power", 1.0)
    if schedule == "step":
        fields["step_factor"] = section.number("gamma", 0, 1, 0.1)
        if not by_epoch:
            refuse(f"{section.path}.by_epoch", "is False; Luthier cuts the rate after epochs: give by_epoch=True")
    else:
        share = section.number("eta_min_ratio", 0, 1, 0.0)
        fields["final_learning_rate"] = section.number("eta_min", 0, max(rate, 1e-12), rate * share)
    return fields


def _every(step: Any, epochs: int, section: Section, name: str) -> tuple[int, ...]:
    every = int(checked_number(step, 1, 1000, section.at(name)))
    return tuple(range(every, epochs, every))


def _listed(steps: Any, section: Section, name: str) -> tuple[int, ...]:
    if not isinstance(steps, list) or not all(type(one) is int and one > 0 for one in steps):
        raise wrong(section.at(name), steps, "a list of epochs, as [8, 11]")
    if len(steps) > MOST_CUTS:
        refuse(section.at(name), f"names {len(steps)} epochs; give at most {MOST_CUTS}")
    return tuple(sorted(steps))
