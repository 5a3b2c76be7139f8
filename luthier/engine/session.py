"""What a training holds while it runs: data, network, optimizer and how far it has come; saved to and read from
checkpoints. Next: `train`, the loop over it.
"""

import copy
import hashlib
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from luthier.catalog.plan import Plan
from luthier.engine import backbones, checkpoint, feature_cache, loading, optim, recomputation, stages, token_files
from luthier.engine.devices import Device, choose
from luthier.engine.feature_cache import FeatureCache
from luthier.engine.optimizers import Optimizer
from luthier.engine.recipe import Batch, Recipe, WeighsConcepts, examples_in, recipe_for
from luthier.errors import CorruptFile, TrainingFailed
from luthier.runs.run import RunFolder, RunSpec

Log = Callable[[str], None]
Tensors = dict[str, torch.Tensor]


@dataclass
class Progress:
    """How far the training has come; every field is stored in a checkpoint's state."""

    step: int = 0
    epoch: int = 0  # whole epochs, validation done
    loss_sum: float = 0.0  # of this epoch's steps
    best_rank: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    epochs_without_better: int = 0
    halvings: int = 0  # of what is computed at once, as memory ran out

    def forget_best(self) -> None:
        """The weights that were best are lost: neither their epoch nor their metrics are those of what is served."""
        self.best_rank, self.best_epoch, self.best_metrics = [], 0, {}


@dataclass
class Timings:
    """Seconds, of this process only."""

    born: float = field(default_factory=time.monotonic)  # when the process was asked to train, monotonic clock
    start: float = 0.0  # from then to the first step
    steps: list[float] = field(default_factory=list)
    validation: float = 0.0
    checkpoints: float = 0.0
    last_checkpoint: float = 0.0

    def steady_step(self) -> float:
        """Median of a step, the first three left out where there are enough."""
        steady = self.steps[3:] if len(self.steps) > 6 else self.steps[1:] or self.steps
        return statistics.median(steady) if steady else 0.0


@dataclass
class Session:
    run: RunFolder
    spec: RunSpec
    recipe: Recipe
    device: Device
    data: loading.Data
    network: nn.Module
    optimizer: Optimizer
    average: nn.Module | None  # exponential moving average of the network, where the plan asks for one
    batch_size: int  # of the plan, at most all training examples
    log: Log
    progress: Progress = field(default_factory=Progress)
    timings: Timings = field(default_factory=Timings)
    saved_at: float = field(default_factory=time.monotonic)
    unsaved_best: Tensors = field(default_factory=dict)
    features: FeatureCache | None = None  # where only the head is trained and examples never change

    @property
    def plan(self) -> Plan:
        return self.recipe.plan

    @property
    def served(self) -> nn.Module:
        """The network that is judged and published."""
        return self.network if self.average is None else self.average

    @property
    def train_examples(self) -> int:
        return len(self.data.splits["train"])

    @property
    def step_size(self) -> int:
        """Examples whose gradients make up one step of the optimizer."""
        return min(self.batch_size * self.plan.accumulate, self.train_examples)

    @property
    def micro_batch(self) -> int:
        """The most examples that are computed at once."""
        return math.ceil(self.batch_size / (1 << self.progress.halvings))

    @property
    def steps_per_epoch(self) -> int:
        return loading.steps_per_epoch(self.train_examples, self.step_size, self.examples_per_epoch)

    @property
    def examples_per_epoch(self) -> int:
        """How many examples an epoch draws; 0: each one once."""
        least = self.plan.least_examples_per_epoch
        return self.plan.examples_per_epoch or (least if self.train_examples < least else 0)

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.plan.epochs

    def steps(self) -> Iterator[list[Batch]]:
        """The batches of each step of this epoch that is still to do; none where no example of it can be read.

        A batch of one example beside larger ones is left out where the network normalises by batches, which needs two.
        """
        done = self.progress.step - self.progress.epoch * self.steps_per_epoch
        chunks = loading.training_chunks(
            self.train_examples,
            self.step_size,
            self.examples_per_epoch,
            seed=self.spec.seed,
            epoch=self.progress.epoch,
            sizes=self.data.sizes("train"),
            alike=self.data.alike if self.plan.balanced_sampling else (),
        )
        parts = [loading.evenly(chunk, self.batch_size) for chunk in chunks[done:]]
        batches = self.source("train").batches("train", [part for step in parts for part in step])
        for step in parts:
            found = [batch for batch in itertools.islice(batches, len(step)) if batch is not None]
            yield [batch for batch in found if sum(map(len, step)) == 1 or not self._has_shrunk(batch)]

    def _has_shrunk(self, batch: Batch) -> bool:
        """To one example, as others of it cannot be read or an odd rest was shared out."""
        if self.batch_size == 1 or examples_in(self.recipe, batch) > 1 or not self._normalises_batches():
            return False
        told = "does without a batch of which a single example is left: batch normalisation needs two."
        self.log(f"Step {self.progress.step + 1} {told}")
        return True

    def _normalises_batches(self) -> bool:
        return any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in self.network.modules())

    def source(self, split: str) -> loading.Data | FeatureCache:
        """Where the batches of a split come from: examples, or what a frozen backbone made of them."""
        return self.features if self.features is not None and split in self.features.splits else self.data

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def save_due(self, *, epoch_ended: bool) -> bool:
        """After checkpoint_seconds; after an epoch sooner, yet so that saving takes at most a tenth of the time."""
        wait = self.plan.checkpoint_seconds
        if epoch_ended:
            wait = min(wait, 10 * self.timings.last_checkpoint)
        return time.monotonic() - self.saved_at >= wait

    def save(self) -> str:
        """Everything that is needed to go on; returns the folder, relative to the run folder. Raises DiskFull."""
        self.save_best()
        files: dict[str, Tensors] = {
            checkpoint.MODEL: self.network.state_dict(),
            checkpoint.OPTIMIZER: checkpoint.optimizer_tensors(self.network, self.optimizer),
        }
        if self.average is not None:
            files[checkpoint.AVERAGE] = self.average.state_dict()
        folder = self.run.checkpoints / checkpoint.step_name(self.progress.step)
        self._write(folder, files)
        checkpoint.remove_old(self.run.checkpoints)
        self.saved_at = time.monotonic()
        return self._relative(folder)

    def remember_best(self) -> None:
        """The served weights of now are the best so far; they are written with the next state to go on from."""
        self.unsaved_best = {name: tensor.to("cpu", copy=True) for name, tensor in self.served.state_dict().items()}

    def save_best(self) -> None:
        if self.unsaved_best:
            self._write(self.run.checkpoints / "best", {checkpoint.MODEL: self.unsaved_best})
            self.unsaved_best = {}

    def load_best(self) -> None:
        """Lays the best weights into `served`; a damaged best/ is logged and written anew from what was last."""
        folder = self.run.checkpoints / "best"
        try:
            checkpoint.verify(folder)
            checkpoint.load_exactly(self.served, checkpoint.read_tensors(folder / checkpoint.MODEL))
        except CorruptFile as error:
            self.log(f"The best checkpoint cannot be used, the last weights take its place. {error}")
            self.progress.forget_best()
            self.remember_best()
            self.save_best()

    def _write(self, folder: Path, files: dict[str, Tensors]) -> None:
        began = time.monotonic()
        checkpoint.write(folder, files, self._state(), self.spec.disk_reserve_mb)
        self.timings.last_checkpoint = time.monotonic() - began
        self.timings.checkpoints += self.timings.last_checkpoint

    def _state(self) -> dict[str, Any]:
        skipped = [asdict(row) for row in self.data.rejections.rows.values()]
        return {
            "format": 1,
            "run": self.spec.run,
            "spec_sha256": spec_hash(self.spec),
            "step": self.progress.step,
            "progress": asdict(self.progress),
            "skipped": skipped,
            "concepts": [asdict(concept) for concept in self.spec.concepts],
            "template": self.spec.template,
            "backbone": self.spec.backbone,
            "plan": asdict(self.plan),
            "torch": torch.__version__,
            "threads": self.device.threads,
        }

    def newest_checkpoint(self) -> str:
        """Relative to the run folder, "" if there is none."""
        found = checkpoint.resumable(self.run.checkpoints)
        return self._relative(found[-1]) if found else ""

    def resume(self) -> None:
        """Goes on from the newest whole checkpoint of this run, if there is one."""
        checkpoint.recover(self.run.checkpoints)
        found = checkpoint.newest_valid(self.run.checkpoints, self.spec.run, self.log)
        if found is None:
            return
        folder, state = found
        if state["spec_sha256"] != spec_hash(self.spec):
            raise TrainingFailed(f"{folder} was made with another run.json; start anew in an empty run folder")
        checkpoint.load_exactly(self.network, checkpoint.read_tensors(folder / checkpoint.MODEL))
        if self.average is not None:
            checkpoint.load_exactly(self.average, checkpoint.read_tensors(folder / checkpoint.AVERAGE))
        optimizer_tensors = checkpoint.read_tensors(folder / checkpoint.OPTIMIZER)
        checkpoint.restore_optimizer(self.network, self.optimizer, optimizer_tensors)
        self.progress = Progress(**state["progress"])
        for row in state["skipped"]:
            self.data.rejections.add(**row)
        self._warn_of_change(state)
        self._check_best()

    def _warn_of_change(self, state: dict[str, Any]) -> None:
        for name, here in (("torch", torch.__version__), ("threads", self.device.threads)):
            if state[name] != here:
                self.log(f"Going on with {name} {here} after {state[name]}: results may differ in the last digits.")

    def _check_best(self) -> None:
        if not self.progress.best_rank:
            return
        try:
            checkpoint.verify(self.run.checkpoints / "best")
        except CorruptFile as error:
            self.log(f"The best checkpoint is lost, the next validation sets a new one. {error}")
            self.progress.forget_best()

    def _relative(self, folder: Path) -> str:
        return str(folder.relative_to(self.run.path))


def open_session(run: RunFolder, log: Log) -> Session:
    """Reads the data, builds the network and goes on from a checkpoint where there is one.

    Raises MissingWeights, CorruptFile, InvalidTrainingParams, InvalidDataToleranceExceeded, NoTrainingData.
    """
    spec = run.spec()
    device = choose(spec.device, spec.threads)
    recipe = recipe_for(spec)
    kept = token_files.open_files(spec, recipe, log)
    data = loading.Data(run.manifest_file, spec, recipe, device.threads, kept)
    data.require_training_data()
    network = build_network(recipe, spec, device, log)
    if isinstance(recipe, loading.Prepares):
        recipe.prepare(data, log)
    average = copy.deepcopy(network) if recipe.plan.ema_decay else None
    if recipe.plan.gradient_checkpointing:
        log(recomputation.enable(network))
    if isinstance(recipe, WeighsConcepts):
        recipe.weigh(data.splits["train"].positives, len(data.splits["train"]))
    optimizer = optim.optimizer_for(network, recipe.plan)
    batch_size = min(recipe.plan.batch_size, len(data.splits["train"]))
    session = Session(run, spec, recipe, device, data, network, optimizer, average, batch_size, log)
    session.resume()
    if session.progress.epoch < recipe.plan.epochs:
        session.features = feature_cache.open_cache(
            run, spec_hash(spec), recipe, network, device, data, batch_size, log
        )
    return session


def build_network(recipe: Recipe, spec: RunSpec, device: Device, log: Log) -> nn.Module:
    """The network on its device, seeded, with weights loaded and frozen as the plan says."""
    device.seed(loading.seed_for(spec.seed, "network", 0))
    network = recipe.build(pretrained=not spec.resume_from)
    if spec.resume_from:
        _start_from(network, Path(spec.resume_from), spec, log)
    stages.freeze(network, recipe.plan, recipe.plan.epochs)  # what never learns; the loop freezes more in early epochs
    return device.placed(network)


def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """average = decay x average + (1 - decay) x network; counters are copied.

    Early on the decay is smaller, (1 + step) / (10 + step), so that the random start is soon forgotten.
    """
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if slow.is_floating_point():
                slow.lerp_(fast, 1 - decay)
            else:
                slow.copy_(fast)


def spec_hash(spec: RunSpec) -> str:
    """Of what the result depends on; paths and the machine's settings are left out, as a run may be moved."""
    whole = json.loads(spec.to_json())
    decisive = ("template", "recipe", "backbone", "weights", "plan", "concepts", "seed", "resume_from")
    return hashlib.sha256(json.dumps({key: whole[key] for key in decisive}, sort_keys=True).encode()).hexdigest()


def _start_from(network: nn.Module, folder: Path, spec: RunSpec, log: Log) -> None:
    state = checkpoint.verify(folder)
    previous = [concept["id"] for concept in state["concepts"]]
    concepts = [concept.id for concept in spec.concepts]
    tensors = checkpoint.read_tensors(folder / checkpoint.MODEL)
    if callable(make_room := getattr(network, "make_room", None)):  # data decided on the shapes of some tensors
        make_room({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    found = backbones.load_previous(network, tensors, previous, concepts)
    if found.fresh:
        log(f"Starting from {folder}: its head has another shape, so this one learns anew; all else is carried over.")
    else:
        log(f"Starting from {folder}: {found.known} of {len(concepts)} concepts were known to it.")
