"""The gradients of one step, computed in as many parts as memory allows. Next: `train`, whose loop asks for them.

A step is made of `accumulate` batches. Where memory runs out each batch is halved, and halved again, while the step
stays as large as it was: only what is computed at once becomes smaller.
"""

import math
from collections.abc import Iterator

import torch
from torch import nn

from luthier.engine.devices import out_of_memory
from luthier.engine.loading import generator_for, seed_for
from luthier.engine.recipe import Batch, Recipe, WeighsBatches, examples_in, size_of
from luthier.engine.session import Session
from luthier.errors import TrainingFailed

MOST_HALVINGS = 5
OWN_CONFIG = "custom_config"  # where a template has it, it says all of these: image_size beside it is of prediction
# what saves memory: by the hyperparameter that a template may have, what it is called there
SIZES = {
    "image_size": "image_size",
    "max_tokens": "max_tokens",
    "tokenizer_config": "tokenizer_config.model_max_length",
    OWN_CONFIG: "size of training pictures in custom_config",
}
BATCHES = {
    "batch_size": "batch_size",
    "trainer_config": "trainer_config.per_device_train_batch_size",
    OWN_CONFIG: "batch size in custom_config",
}
CHECKPOINTING = {
    "gradient_checkpointing": "gradient_checkpointing",
    "trainer_config": "trainer_config.gradient_checkpointing",
}


def gradients(session: Session, batches: list[Batch]) -> float:
    """Leaves the gradients of the mean loss of `batches` with the parameters; returns that loss.

    Raises TrainingFailed where memory runs out however few examples are computed at once.
    """
    while True:
        try:
            return _accumulated(session, batches)
        except (RuntimeError, MemoryError) as error:  # what torch raises for memory is a RuntimeError
            if not out_of_memory(error):
                raise
            reason = str(error).strip().partition("\n")[0]
        _release(session)  # here, where no traceback holds on to tensors any more
        _halve(session, reason, batches)


def _accumulated(session: Session, batches: list[Batch]) -> float:
    """Every batch's loss weighs as much as the recipe says, and every part's as its share of the batch, so the sum is
    the loss of the step as a whole.
    """
    recipe, device, step = session.recipe, session.device, session.progress.step
    device.seed(seed_for(session.spec.seed, "step", step))
    session.optimizer.zero_grad()
    weights = [_weight_of(recipe, batch) for batch in batches]
    losses = []
    for place, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
        there = {name: tensor.to(device.torch_device, non_blocking=True) for name, tensor in batch.items()}
        number = step * session.plan.accumulate + place
        changed = recipe.augment(there, generator_for(session.spec.seed, "augment", number))
        rows = size_of(changed)
        for part in parts_of(changed, _rows_at_once(session, batch)):
            with device.autocast():
                loss = recipe.loss(session.network, part) * (weight * (size_of(part) / rows) / sum(weights))
            losses.append(loss.detach().float())
            if loss.requires_grad:  # else the recipe has only looked; what it makes of that is up to `settle`
                loss.backward()  # type: ignore[no-untyped-call]
    return float(torch.stack(losses).sum())


def _release(session: Session) -> None:
    """Frees what a step that was cut has left. Of a cut backward pass tensors stay queued; the next one drops them."""
    session.optimizer.zero_grad()
    torch.zeros((), requires_grad=True).add(1).backward()  # type: ignore[no-untyped-call]
    session.device.release_memory()


def _weight_of(recipe: Recipe, batch: Batch) -> float:
    return recipe.weight_of(batch) if isinstance(recipe, WeighsBatches) else size_of(batch)


def parts_of(batch: Batch, most: int) -> Iterator[Batch]:
    """Of `most` rows at most, and as even as can be: batch normalisation is at a loss with a single one."""
    count = math.ceil(size_of(batch) / most)
    if count == 1:
        yield batch
        return
    cut = {name: tensor.tensor_split(count) for name, tensor in batch.items()}
    for place in range(count):
        yield {name: parts[place] for name, parts in cut.items()}


def _rows_at_once(session: Session, batch: Batch) -> int:
    """Of the batch's tensors; a row may hold several examples."""
    return max(1, session.micro_batch * size_of(batch) // examples_in(session.recipe, batch))


def _halve(session: Session, reason: str, batches: list[Batch]) -> None:
    """From now on half as many examples at once; raises TrainingFailed where that has no end."""
    before, progress = session.micro_batch, session.progress
    rows = max(min(size_of(batch), _rows_at_once(session, batch)) for batch in batches)
    if rows == 1 or progress.halvings == MOST_HALVINGS:
        shared = rows == 1 and any(examples_in(session.recipe, batch) > size_of(batch) for batch in batches)
        least = "a single row, which holds several texts," if shared else _counted(1 if rows == 1 else before)
        raise TrainingFailed(
            f"out of memory at step {progress.step + 1}, even with {least} at once, after {progress.halvings} halvings "
            f"of batch_size {session.batch_size}: {reason}. {_remedy(session, single=rows == 1, shared=shared)}"
        )
    progress.halvings += 1
    session.log(
        f"Out of memory at step {progress.step + 1} with {_counted(before)} at once: {reason}. Going on with "
        f"{session.micro_batch} at once; a step still has {_counted(session.step_size)}, whose gradients are added up."
    )
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training for part in session.network.modules()):
        session.log(
            f"Batch normalisation now takes its statistics from {_counted(session.micro_batch)} instead of {before}: "
            "the model may differ a little from one trained with enough memory."
        )


def _remedy(session: Session, *, single: bool, shared: bool) -> str:
    """What a user can set, as the template calls it, where a `single` row does not fit, one that texts share or not."""
    given = session.spec.hyperparameters
    decisive = {OWN_CONFIG} if OWN_CONFIG in given else set(given)

    def called(names: dict[str, str]) -> list[str]:
        return [name for key, name in names.items() if key in decisive]

    smaller = called(SIZES) + ([] if single else called(BATCHES))
    advice = [
        *(["set packing to false"] if shared else []),
        *([f"give a smaller {' or '.join(smaller)}"] if smaller else []),
        *([] if session.plan.gradient_checkpointing else [f"set {name}" for name in called(CHECKPOINTING)]),
    ]
    words = ", or ".join(advice or ["train on a device with more memory"])
    return f"{words[0].upper()}{words[1:]}"


def _counted(examples: int) -> str:
    return "1 example" if examples == 1 else f"{examples} examples"
