"""Epochs, batches, optimizer and schedule of a configuration -> fields of a Plan. Next: `transforms`, of pictures.

Both generations of the toolboxes are understood. A base says everything in the words of both; where the user's text
sets a name of one of them, that one holds.
"""

import difflib
from typing import Any, NamedTuple

from luthier.catalog.own_config.bodies import Body
from luthier.catalog.own_config.read import OwnConfig, read
from luthier.catalog.own_config.schedules import of_lr_config, of_param_scheduler
from luthier.catalog.own_config.section import Section, refuse
from luthier.catalog.own_config.words import IGNORED, READ, check_types
from luthier.catalog.plan import Plan
from luthier.errors import shown

Fields = dict[str, Any]
OPTIMIZERS = {"SGD": "sgd", "Adam": "adamw", "AdamW": "adamw", "Lamb": "lamb", "LAMB": "lamb", "Lion": "lion"}
PAIRS = (  # older and newer names of the same, of which a text may set one
    ("optimizer", "optim_wrapper"),
    ("optimizer_config", "optim_wrapper"),
    ("lr_config", "param_scheduler"),
    ("runner", "train_cfg"),
    ("total_epochs", "runner"),
    ("total_epochs", "train_cfg"),
    ("data", "train_dataloader"),
)
MOST_EPOCHS = 1000
MISTYPED = 0.88  # how like a name that Luthier reads one is that nothing reads


class Understood(NamedTuple):
    """What a template asks of a configuration; `gflops` is one forward pass at the size of training."""

    backbone: str
    weights: str
    plan: Plan
    gflops: float


def opened(text: str, toolbox: str) -> tuple[OwnConfig, Section, Section]:
    """What was read, the whole of it, and its `model`. What is harmless has been ignored, what is forbidden refused."""
    own = read(text, toolbox)
    check_types(own.config)
    for old, new in PAIRS:
        if old in own.given and new in own.given:
            refuse(new, f"stands beside {old}, which says the same in the older words; give one of them")
    if "custom_imports" in own.given:
        refuse("custom_imports", "is not available in restricted templates: no code but Luthier's own is run")
    helpers = own.given - set(IGNORED) - set(READ)
    top = Section({name: value for name, value in own.config.items() if name not in helpers}, own.base, "", [])
    for name, why in IGNORED.items():
        if name in own.given:
            top.ignore([name], why)
    unread = sorted(helpers & own.unread)
    for name in unread:
        if near := difflib.get_close_matches(name[:100], READ, n=1, cutoff=MISTYPED):
            refuse(name, f"means nothing to Luthier; did you mean {near[0]}? Else leave it out")
    if unread:
        top.notes.append(f"custom_config sets names of your own that nothing reads: {shown(', '.join(unread))}")
    top.only("load_from", None)
    top.only("resume_from", None)
    top.only("resume", False)
    if scaling := top.section("auto_scale_lr"):
        scaling.only("enable", False)
    model = top.section("model")
    if model is None or "model" not in own.base:
        refuse("model", "is missing here or in _base_; build upon one that has it, or add one of _base_/models")
    return own, top, model


def finished(fields: Fields, body: Body, predicted: tuple[int, ...], notes: list[str]) -> Fields:
    """What all families' plans have besides. `predicted`: the size of pictures in prediction."""
    size = fields["image_size"]
    learnt = size if isinstance(size, int) else min(size)
    if not 2 / 3 <= learnt / min(predicted) <= 3 / 2:
        notes.append(
            f"custom_config learns from pictures of {learnt} pixels, and image_size predicts at {min(predicted)}: "
            "objects look another size then; bring them together"
        )
    rates = {} if body.weights else {"backbone_multiplier": 1.0}
    return fields | rates | {"prediction_size": predicted, "notes": tuple(notes)}


def fields_of(top: Section, own: OwnConfig) -> Fields:
    epochs = _epochs(top, own)
    fields: Fields = {"epochs": epochs, **_optimization(top, own)}
    newer = "param_scheduler" in own.given
    given = top.take("param_scheduler")
    older = top.section("lr_config")
    if newer:
        fields |= of_param_scheduler(given, epochs, fields["learning_rate"], top.notes)
    else:
        fields |= of_lr_config(older, epochs, fields["learning_rate"]) if older else {"schedule": "constant"}
    return fields | _cuts_that_come(fields.get("step_epochs", ()), epochs, top.notes)


def _cuts_that_come(cuts: tuple[int, ...], epochs: int, notes: list[str]) -> Fields:
    late = [str(cut) for cut in cuts if cut >= epochs]
    if late:
        notes.append(f"custom_config: cuts of the rate after epoch {', '.join(late)} never come in {epochs} epochs")
    return {"step_epochs": tuple(cut for cut in cuts if cut < epochs)}


def _epochs(top: Section, own: OwnConfig) -> int:
    newer, older = top.section("train_cfg"), top.section("runner")
    if "total_epochs" in own.given:
        return top.whole("total_epochs", 1, MOST_EPOCHS, 1)
    chosen = newer if "train_cfg" in own.given else older
    if chosen is None:
        refuse("runner", "is missing; give runner = dict(type='EpochBasedRunner', max_epochs=60)")
    if chosen.take("type") in ("IterBasedRunner", "IterBasedTrainLoop") or "max_iters" in chosen:
        refuse(chosen.path, "counts iterations; Luthier counts epochs: give _delete_=True, type and max_epochs")
    chosen.take("by_epoch")
    chosen.ignore(("val_interval", "val_begin", "dynamic_intervals"), "Luthier judges each epoch")
    epochs = chosen.whole("max_epochs", 1, MOST_EPOCHS, 0)
    chosen.end()
    return epochs


def _optimization(top: Section, own: OwnConfig) -> Fields:
    wrapper, older, settings = top.section("optim_wrapper"), top.section("optimizer"), top.section("optimizer_config")
    fields: Fields = {}
    if wrapper is not None and "optim_wrapper" in own.given:
        wrapper.ignore(("type", "loss_scale", "dtype"), "Luthier sees to the precision")
        optimizer, clip = wrapper.section("optimizer"), wrapper.section("clip_grad")
        shares = wrapper.section("paramwise_cfg")
        fields["accumulate"] = wrapper.whole("accumulative_counts", 1, 1024, 1)
        wrapper.end()
    else:
        optimizer, clip, shares = older, None, older.section("paramwise_cfg") if older else None
        if settings is not None:
            settings.ignore(("type", "loss_scale"), "Luthier sees to the precision")
            clip = settings.section("grad_clip")
            settings.end()
    if optimizer is None:
        refuse("optimizer", "is missing; give optimizer = dict(type='SGD', lr=0.01, momentum=0.9)")
    fields |= _optimizer(optimizer) | {"clip_gradient_norm": _clip(clip) if clip else 0.0}
    return _shared_out(fields, shares) if shares else fields


def _optimizer(section: Section) -> Fields:
    name = section.choice("type", {one: one for one in OPTIMIZERS})
    kind = OPTIMIZERS[name]
    if "lr" not in section:
        refuse(section.at("lr"), "is missing; give a learning rate, as lr=0.01")
    fields: Fields = {
        "optimizer": kind,
        "learning_rate": section.number("lr", 0, 10, 0.0),
        "weight_decay": section.number("weight_decay", 0, 1, 0.01 if name == "AdamW" else 0.0),
    }
    if name == "Adam" and fields["weight_decay"]:
        section.notes.append(f"custom_config: {section.path}.type Adam is AdamW: the decay is apart from the gradient")
    if kind == "sgd":
        fields["momentum"] = section.number("momentum", 0, 1, 0.0)
        section.only("nesterov", True)
        section.only("dampening", 0)
    else:
        section.only("betas", [0.9, 0.99] if kind == "lion" else [0.9, 0.999])
        section.only("eps", 1e-6 if kind == "lamb" else 1e-8)
        section.only("amsgrad", False)
    section.end()
    return fields


def _clip(section: Section) -> float:
    section.only("norm_type", 2)
    longest = section.number("max_norm", 0, 1_000_000, 0.0)
    section.end()
    return longest


def _shared_out(fields: Fields, section: Section) -> Fields:
    """Rates of parts: a body that learns slower, or a head that learns faster, than what `lr` says."""
    for name in ("norm_decay_mult", "bias_decay_mult"):  # norms and biases never decay here
        section.only(name, 0)
    section.take("bypass_duplicate")
    body = head = 1.0
    parts = section.section("custom_keys")
    for name in ("backbone", "head", "norm", "bias", "pos_block", "absolute_pos_embed", "relative_position_bias_table"):
        part = parts.section(name) if parts else None
        if part is None:
            continue
        if name == "backbone":
            body = part.number("lr_mult", 0, 1000, 1.0)
        elif name == "head":
            head = part.number("lr_mult", 0.001, 1000, 1.0)
            part.note("lr_mult", head, "is of all that is not the backbone, a neck too")
        else:
            part.only("decay_mult", 0)
        part.end()
    if parts:
        parts.end()
    section.end()
    return {**fields, "learning_rate": fields["learning_rate"] * head, "backbone_multiplier": body / head}


def averaging(top: Section) -> Fields:
    """custom_hooks: an average of the weights is the only one that changes what is learnt."""
    fields: Fields = {}
    for hook in top.sections("custom_hooks"):
        kind = hook.take("type")
        hook.take("priority")
        if kind in ("EMAHook", "ExpMomentumEMAHook"):
            hook.only("ema_type", "ExponentialMovingAverage", "ExpMomentumEMA")
            hook.take("update_buffers")
            hook.take("resume_from")
            fields["ema_decay"] = 1 - hook.number("momentum", 0.00001, 1, 0.0002)
        elif kind not in ("NumClassCheckHook", "SyncNormHook"):
            refuse(f"{hook.path}.type", f"is {kind!a}; give one of EMAHook, ExpMomentumEMAHook, NumClassCheckHook")
        hook.end()
    return fields


def num_classes(head: Section) -> None:
    """It must be there, and is overwritten: a model has as many classes as its concepts."""
    if "num_classes" not in head:
        refuse(head.at("num_classes"), "is missing; give num_classes=0, Luthier fills in how many concepts there are")
    head.take("num_classes")
