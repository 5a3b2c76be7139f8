"""The training loop. `python -m luthier.engine.train RUN` trains what the run folder describes, or goes on with it.

fit() is a generator of events, whose caller's `for` is the only control flow; learn() is one step of it.
Next: `session` for what it works on, `process` for how the process lives and ends.
"""

import math
import time
from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from luthier.catalog.plan import AUTOMATIC, LESS_IS_BETTER
from luthier.engine import BORN, checkpoint, feature_cache, report
from luthier.engine.accumulation import gradients
from luthier.engine.evaluate import Judged, judge, look
from luthier.engine.forgetting import forgetting
from luthier.engine.journal import Journal
from luthier.engine.optim import rate_at, set_rate
from luthier.engine.process import StopRequest, main
from luthier.engine.recipe import Batch, Paces, Scores, Settles
from luthier.engine.session import Session, open_session, update_average
from luthier.engine.stages import training_mode
from luthier.errors import TrainingFailed
from luthier.runs.events import Checkpointed, EpochDone, Evaluated, Event
from luthier.runs.run import RunFolder

SECONDS_BETWEEN_STEPS_TOLD = 0.5
LOWEST = -1e300  # below every metric, and JSON has a word for it


def fit(session: Session, stop: StopRequest) -> Iterator[Event]:
    """Trains to the end, or until `stop`; yields what happens. Raises TrainingFailed where the loss is not finite.

    Every draw of a step is seeded by the step's number, so a run that was cut anywhere ends with the same bytes.
    """
    plan, progress = session.plan, session.progress
    began = time.monotonic()
    told_at = 0.0
    yield report.started(session)
    for _ in session.features.fill() if session.features else ():
        if stop.requested:
            yield stop.event()
            return

    while progress.epoch < plan.epochs and not gives_up(session):
        training_mode(session.network, plan, progress.epoch)
        if isinstance(session.recipe, Paces):
            session.recipe.begin_epoch(session.network, progress.epoch)
        epoch_began = step_began = time.monotonic()
        saving_before = session.timings.checkpoints
        value = math.nan
        for batches in session.steps():
            rate = rate_at(progress.step, session.steps_per_epoch, session.total_steps, plan)
            if batches:
                value = learn(session, batches, rate)
            progress.step += 1

            now = time.monotonic()
            session.timings.steps.append(now - step_began)
            stop.watchdog.stepped(session.timings.steps)
            last_of_epoch = progress.step == (progress.epoch + 1) * session.steps_per_epoch
            if now - told_at >= SECONDS_BETWEEN_STEPS_TOLD or last_of_epoch:
                told_at = now
                yield report.step_done(session, value, rate, now - began)
            if stop.requested:
                yield save(session, stop)
                yield stop.event()
                return
            if not last_of_epoch and session.save_due(epoch_ended=False):
                yield save(session, stop)
            step_began = time.monotonic()

        stop.watchdog.rest()
        spent = time.monotonic() - epoch_began - (session.timings.checkpoints - saving_before)
        yield from end_epoch(session, spent)
        if progress.epoch == plan.epochs or gives_up(session) or session.save_due(epoch_ended=True):
            yield save(session, stop)

    yield from conclude(session)


def learn(session: Session, batches: list[Batch], rate: float) -> float:
    """One step of the optimizer on the gradients of all the batches; returns their mean loss."""
    network, plan, progress = session.network, session.plan, session.progress
    set_rate(session.optimizer, rate)
    value = gradients(session, batches)
    norm = gradient_norm(network)
    stop_unless_finite(session, value, norm, rate)
    if norm is not None:  # else the recipe has only looked; what it makes of that is up to `settle`
        clip(network, norm, plan.clip_gradient_norm)
        session.optimizer.step()
    if session.average is not None:
        update_average(session.average, network, plan.ema_decay, progress.step)
    progress.loss_sum += value
    return value


def end_epoch(session: Session, spent: float) -> Iterator[Event]:
    """Tells of the epoch, which took `spent` seconds, judges the validation split and keeps the weights if best."""
    recipe, progress = session.recipe, session.progress
    mean_loss = progress.loss_sum / session.steps_per_epoch
    yield EpochDone(progress.epoch + 1, session.plan.epochs, progress.step, mean_loss, spent)
    if isinstance(recipe, Settles):
        recipe.settle(session.served, partial(look, session), session.log)
    if len(session.data.splits["val"]):
        judged = judge(session, "val")
        best = keep_if_best(session, judged)
        yield Evaluated("val", progress.epoch + 1, judged.scores.metrics, best, judged.seconds)
    progress.epoch, progress.loss_sum = progress.epoch + 1, 0.0


def gives_up(session: Session) -> bool:
    """Early stopping: so many epochs without a better validation metric."""
    patience = session.plan.early_stopping_epochs
    return patience > 0 and session.progress.epochs_without_better >= patience


def gradient_norm(network: nn.Module) -> float | None:
    """Of all gradients as one vector; None where there are none."""
    found = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return float(torch.nn.utils.get_total_norm(found)) if found else None


def clip(network: nn.Module, norm: float, most: float) -> None:
    """Scales the gradients, whose norm is known, down to a norm of `most`; 0: leaves them as they are."""
    if most:
        torch.nn.utils.clip_grads_with_norm_(network.parameters(), most, torch.tensor(norm))


def stop_unless_finite(session: Session, loss: float, norm: float | None, rate: float) -> None:
    """Raises TrainingFailed before a loss or a gradient that is no number can touch the weights."""
    if math.isfinite(loss) and math.isfinite(norm or 0.0):
        return
    what = f"the norm of the gradient is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
    steps = sorted(session.run.checkpoints.glob("step-*"))
    last = f"checkpoints/{steps[-1].name}" if steps else "none"
    raise TrainingFailed(
        f"{what} at step {session.progress.step + 1}, learning rate {rate:.3g}; last good checkpoint: "
        f"{last}. Try a smaller learning rate or a longer warm-up"
    )


def keep_if_best(session: Session, judged: Judged) -> bool:
    progress = session.progress
    rank = rank_of(judged.scores, session.plan.early_stopping_metric)
    if progress.best_rank and rank <= progress.best_rank:
        progress.epochs_without_better += 1
        return False
    progress.best_rank, progress.best_epoch = rank, progress.epoch + 1
    progress.best_metrics, progress.epochs_without_better = judged.scores.metrics, 0
    session.remember_best()
    return True


def rank_of(scores: Scores, metric: str) -> list[float]:
    """What orders epochs, the better the greater: the metric that was asked for, then the recipe's own rank.

    An epoch for which it cannot be computed, as the ROC AUC where all hold one concept, stands below all others.
    """
    if metric == AUTOMATIC:
        return list(scores.rank)
    value = scores.metrics.get(metric)
    first = LOWEST if value is None else -value if metric in LESS_IS_BETTER else value
    return [first, *scores.rank]


def save(session: Session, stop: StopRequest) -> Checkpointed:
    began = time.monotonic()
    stop.watchdog.rest()
    folder = session.save()
    stop.saved(session.progress.step, session.progress.epoch + 1, folder)
    return Checkpointed(session.progress.step, folder, time.monotonic() - began)


def conclude(session: Session) -> Iterator[Event]:
    """Judges the best weights on the test split and writes the report."""
    if session.progress.best_rank:
        session.load_best()
    else:
        session.remember_best()
        session.save_best()
    check_all_finite(session)
    judged = None
    split = next((name for name in ("test", "val") if len(session.data.splits[name])), "")
    if split:
        judged = judge(session, split)
        epoch = session.progress.best_epoch or session.progress.epoch
        yield Evaluated(split, epoch, judged.scores.metrics, True, judged.seconds)
    forgotten = forgetting(session)
    checkpoint.finish(session.run.checkpoints)
    feature_cache.remove(session.run)
    yield report.finish(session, split, judged, forgotten)


def check_all_finite(session: Session) -> None:
    for name, tensor in session.served.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise TrainingFailed(f"{name} of the trained network is not finite; try a smaller learning rate")


def train(run: RunFolder, journal: Journal, stop: StopRequest, born: float) -> None:
    """One whole training; events and lines go to the journal. `born`: when the process was asked, monotonic seconds."""
    session = open_session(run, journal.log)
    try:
        session.timings.born = born
        stop.saved(session.progress.step, session.progress.epoch + 1, session.newest_checkpoint())
        journal.log(report.introduction(session))
        for event in fit(session, stop):
            journal.event(event)
        journal.log(report.farewell(session))
    finally:
        session.data.close()


if __name__ == "__main__":
    main(BORN, train)
