"""What the user asked to train -> a checked template, hyperparameters and RunSpec. Next: `train`, which runs it."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from luthier.catalog import model_type as catalog
from luthier.catalog import weights as catalog_weights
from luthier.catalog.anomaly import AnomalyPlan, good_of
from luthier.catalog.template import Template
from luthier.catalog.text_preparation import TextPreparation, checked
from luthier.catalog.weights import Progress
from luthier.commands.train_data import Learns
from luthier.errors import InvalidRequest, InvalidTrainingParams, shown
from luthier.runs.run import RunConcept, RunFolder, RunSpec
from luthier.settings import Settings
from luthier.worker import transfer_bases
from luthier.worker.checkpoints import BEST
from luthier.worker.weights_pull import pull

LARGEST_SEED = 2**31 - 1
EXAMPLES = {"--set": "--set num_epochs=3", "--prepare-text": "--prepare-text lower_case=true"}


@dataclass(frozen=True)
class TrainRequest:
    """A template with all its hyperparameters, checked; `notes` tell the user what was chosen on their behalf."""

    template: Template
    values: dict[str, Any]
    given: dict[str, Any]
    seed: int
    weights: str
    notes: tuple[str, ...]

    @property
    def exclusive(self) -> bool:
        """Whether the model will say one class per picture."""
        return bool(getattr(self.template.plan_for(self.values), "mutually_exclusive", False))

    @property
    def regions(self) -> bool:
        """Whether the model learns parts of pictures."""
        return self.template.plan_for(self.values).learns_regions

    @property
    def labelled(self) -> bool:
        """Whether the model learns what inputs are labelled with."""
        return self.template.plan_for(self.values).learns_concepts

    @property
    def start(self) -> str:
        """What training begins with, in words."""
        return self.weights or self.values.get("base_embed_model") or "random weights"

    @property
    def learns(self) -> Learns:
        if self.template.model_type == "text-to-text":
            return Learns.WRITING
        if catalog.input_kind(self.template) == "text":
            return Learns.TEXTS
        if isinstance(self.template.plan_for(self.values), AnomalyPlan):
            return Learns.GOOD_PICTURES
        return Learns.REGIONS if self.regions else Learns.PICTURES

    @property
    def of_texts(self) -> bool:
        return self.learns in (Learns.TEXTS, Learns.WRITING)

    def good(self, concepts: Sequence[RunConcept]) -> frozenset[str] | None:
        """Ids of the concepts of good pictures, where the model learns these alone; else None."""
        return good_of(self.template.plan_for(self.values), [(one.id, one.name) for one in concepts])


def parse_assignments(assignments: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """`key=value` texts; a value that reads as JSON is taken so (3, 0.1, true, [1,2]), else it is text.

    Raises InvalidRequest for one without "=" or a key given twice.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise InvalidRequest(
                f"{option} {shown(assignment)}: write it as name=value, for example {EXAMPLES[option]}"
            )
        if key.strip() in values:
            raise InvalidRequest(f"{option} {shown(key.strip())} is given twice; give it once")
        values[key.strip()] = _value(text.strip())
    return values


def parse_preparation(assignments: Sequence[str], request: TrainRequest) -> TextPreparation:
    """The same of --prepare-text; raises InvalidRequest where the template does not tell texts apart."""
    given = parse_assignments(assignments, "--prepare-text")
    if given and request.learns is not Learns.TEXTS:
        raise InvalidRequest(f"--prepare-text is for templates that tell texts apart; {request.template.id} does not")
    try:
        return checked(given, "--prepare-text")
    except InvalidTrainingParams as error:
        raise InvalidRequest(error.details) from None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def make_request(
    template_name: str, assignments: Sequence[str], *, exclusive: bool | None, seed: int | None, model_type: str = ""
) -> TrainRequest:
    """Raises InvalidTrainingParams that names the nearest template or hyperparameter and what is allowed.

    `model_type`: whose template is meant, as some have the same name.
    """
    if model_type:
        template = catalog.find_template(model_type, template_name)
    else:
        template = catalog.find_any_template(template_name)
    given = parse_assignments(assignments)
    chosen, notes = _exclusive(template, given, exclusive)
    values = template.checked(given | chosen)
    return TrainRequest(template, values, given, _seed(values, seed), template.weights(values), notes)


def _exclusive(
    template: Template, given: Mapping[str, Any], wanted: bool | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A picture in a class folder has one class: softmax, unless the user says otherwise in either of two ways."""
    names = {parameter.name for parameter in template.hyperparameters}
    ways: dict[str, tuple[Any, Any]] = {"concepts_mutually_exclusive": (True, False), "logreg": (0, 1)}
    name = next((way for way in ways if way in names), "")
    if wanted is not None and not name:
        raise InvalidTrainingParams(f"template {template.id} has no choice between exclusive and independent concepts")
    if wanted is not None and name in given and given[name] != ways[name][0 if wanted else 1]:
        raise InvalidRequest(f"--set {name}={shown(given[name])} contradicts the option beside it; give one of them")
    if not name or name in given:
        return {}, ()
    value = ways[name][0 if wanted in (None, True) else 1]
    if wanted is not None:
        return {name: value}, ()
    note = (
        "Each example has one class, so classes are taken as mutually exclusive (softmax). "
        "--concepts-independent learns each class by itself (sigmoid)."
    )
    return {name: value}, (note,)


def _seed(values: Mapping[str, Any], wanted: int | None) -> int:
    """--seed, else the hyperparameter, where -1 draws one; it is recorded in run.json either way."""
    seed = int(values.get("seed", -1)) if wanted is None else wanted
    return seed if seed >= 0 else secrets.randbelow(LARGEST_SEED)


def _device(request: TrainRequest, wanted: str) -> str:
    """--device, else what a num_gpus that was given asks for: none of them means the processor."""
    if wanted != "auto" or "num_gpus" not in request.given:
        return wanted
    return "cuda" if request.values["num_gpus"] else "cpu"


def parent_of(folder: Path | None, replay_percent: float, request: TrainRequest) -> RunFolder | None:
    """The run to learn on from; raises InvalidRequest where it has not ended, or trained another network."""
    if folder is None:
        if replay_percent:
            raise InvalidRequest(
                f"--replay-percent {replay_percent:g} needs --start-from RUN, whose data is to be mixed in"
            )
        return None
    run = RunFolder(folder)
    if not run.report_file.exists():
        raise InvalidRequest(
            f"--start-from {folder}: there is no finished run in this folder (it holds no report.json)"
        )
    before, template = run.spec(), request.template
    if (before.model_type, before.backbone) != (template.model_type, template.backbone_for(request.values)):
        raise InvalidRequest(
            f"--start-from {folder} was trained as a {before.model_type} with {before.template}, whose network is "
            f"another than that of {template.id}; take --template {before.template}, or leave --start-from out"
        )
    return run


def best_of(run: RunFolder) -> Path:
    """The checkpoint that a finished run serves."""
    return (run.checkpoints / "best").absolute()


def have_weights(request: TrainRequest, folder: Path, offline: bool, progress: Progress) -> bool:
    """Makes sure that the weights are in `folder`; True where they had to be fetched.

    Raises MissingWeights, with why they cannot be fetched and the command that adds them.
    """
    if not request.weights or catalog_weights.find(folder, request.weights):
        return False
    with catalog_weights.or_random_ones(request.template):
        if not catalog_weights.fetched_when_needed(request.template, request.weights):
            catalog_weights.require(folder, request.weights)
        pull(folder, request.weights, offline=offline, progress=progress)
    return True


def base_of(request: TrainRequest, weights_folder: Path, parent: RunFolder | None) -> dict[str, Any]:
    """The embedder of a transfer: that of `parent`, the run that base_embed_model names, or the template's own."""
    if request.template.embedder is None:
        return {}
    if parent is not None:
        return transfer_bases.of_transfer(parent)
    if not (named := request.values["base_embed_model"]):
        return transfer_bases.pretrained(request.template.embedder, weights_folder)
    run = RunFolder(Path(named))
    if not run.report_file.exists():
        raise InvalidRequest(
            f"base_embed_model is {shown(named)}; give the folder of a finished run of a visual-embedder, or leave it "
            f"out for {request.template.embedder.weights}"
        )
    return transfer_bases.trained(run, BEST)


def make_spec(
    request: TrainRequest,
    *,
    run: str,
    concepts: Sequence[RunConcept],
    settings: Settings,
    weights_folder: Path,
    device: str,
    threads: int,
    tolerance: float,
    parent: RunFolder | None = None,
    preparation: TextPreparation | None = None,
) -> RunSpec:
    template = request.template
    return RunSpec(
        run=run,
        model_type=template.model_type,
        template=template.id,
        recipe=template.recipe,
        backbone=template.backbone_for(request.values),
        weights=request.weights,
        hyperparameters=request.values,
        plan=asdict(template.plan_for(request.values)),
        concepts=tuple(concepts),
        seed=request.seed,
        device=_device(request, device),
        threads=threads or settings.training_threads,
        weights_folder=str(weights_folder.absolute()),
        offline=settings.offline,
        image_cache_mb=settings.image_cache_mb,
        disk_reserve_mb=settings.disk_reserve_mb,
        invalid_data_tolerance_percent=tolerance,
        base=base_of(request, weights_folder, parent),
        tokens_folder=str((settings.tokens_folder / "local").absolute()),  # no input of an app, so none is deleted
        token_cache_mb=settings.token_cache_mb,
        text_preparation=preparation.to_json() if preparation else {},
    )
