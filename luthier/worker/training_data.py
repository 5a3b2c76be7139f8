"""From a version to a run folder: freeze or await the data, check it, find the weights. Next: `runs/prepare`."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from luthier.catalog import weights
from luthier.catalog.anomaly import good_of
from luthier.catalog.model_type import find_template, input_kind
from luthier.catalog.plan import Plan
from luthier.catalog.template import Template
from luthier.data.anomalies import held_out
from luthier.data.check import CheckReport, check_examples
from luthier.data.replay import Unseen, with_replay
from luthier.errors import DatasetVersionConflict, InvalidTrainingParams, MissingWeights, NoTrainingData
from luthier.runs.manifest import Example, read_manifest
from luthier.runs.prepare import prepare
from luthier.runs.run import RunConcept, RunFolder, RunSpec
from luthier.store import jobs, snapshots, versions
from luthier.store.snapshots import TRAINING_ORIGIN, DatasetVersion
from luthier.store.versions import Version
from luthier.worker import snapshot_job, transfer_bases, weights_pull
from luthier.worker.run_log import note
from luthier.worker.work import Work

POLL_SECONDS = 0.3


def prepare_run(work: Work, version: Version) -> RunFolder:
    """A run folder that is ready to start; one that an earlier attempt has made is left as it is.

    Raises NoTrainingData, NoPositives, SingleClass, InsufficientData, InvalidDataToleranceExceeded, MissingWeights,
    InvalidTrainingParams, DatasetVersionConflict; and Interrupted where the job is to stop.
    """
    run = work.run_folder(version.id)
    if run.spec_file.exists():
        return run
    run.path.mkdir(parents=True, exist_ok=True)
    template = find_template(version.model_type, version.request["template"])
    values = template.checked(version.request["hyperparameters"])
    plan = template.plan_for(values)
    if not version.request.get("resume_from"):  # a checkpoint brings all its weights with it
        with weights.or_random_ones(template):
            _require_weights(work, run, template, template.weights(values))
    frozen = _frozen(work, version)
    concepts = tuple(RunConcept(row["id"], row["name"]) for row in version.request["concepts"])
    manifest = work.blobs.path(frozen.manifest)
    unseen = Unseen(_parent(work, version))
    report = _checked(unseen.of(_wanted(read_manifest(manifest), concepts, plan, frozen)), concepts, version, plan)
    for warning in (*([unseen.note] if unseen.note else []), *report.warnings):
        note(run, f"Warning: {warning}.")
    work.lease.check()
    spec = _spec(work, version, template, values, plan, concepts)
    examples = unseen.of(_examples(work, spec, manifest, plan, frozen))
    return prepare(run.path, spec, examples, _assets(work, version, spec))


def _spec(
    work: Work,
    version: Version,
    template: Template,
    values: dict[str, Any],
    plan: Plan,
    concepts: tuple[RunConcept, ...],
) -> RunSpec:
    settings, request = work.settings, version.request
    return RunSpec(
        run=version.id,
        model_type=version.model_type,
        template=template.id,
        recipe=template.recipe,
        backbone=template.backbone_for(values),
        weights=template.weights(values),
        hyperparameters=values,
        plan=asdict(plan),
        concepts=concepts,
        seed=int(request.get("seed", 0)),
        device="cpu" if values.get("num_gpus") == 0 else "auto",
        threads=settings.training_threads,
        blob_folder=str(settings.blobs_folder.absolute()),
        weights_folder=str(settings.weights_folder.absolute()),
        offline=settings.offline,
        resume_from=_resume_from(work, request.get("resume_from")),
        replay_percent=float(request.get("replay_percent", 0.0)),
        image_cache_mb=settings.image_cache_mb,
        disk_reserve_mb=settings.disk_reserve_mb,
        invalid_data_tolerance_percent=_tolerance(version),
        estimated_seconds=float(request.get("estimated_seconds", 0.0)),
        base=_base(work, version, template),
        text_preparation=request.get("text_preparation", {}),
        vectors_folder=str(settings.vectors_folder.absolute()) if template.embedder else "",
        tokens_folder=str(settings.tokens_folder.absolute()),
        token_cache_mb=settings.token_cache_mb,
    )


# -- data --------------------------------------------------------------------------------------------------------------


def _frozen(work: Work, version: Version) -> DatasetVersion:
    """The version's dataset version, READY: frozen here where it was made for this training, else waited for."""
    while True:
        with work.database.read() as connection:
            found = snapshots.by_seq(connection, version.dataset_version) if version.dataset_version else None
        if found is None:
            raise DatasetVersionConflict("the dataset version was deleted before the training began; train again")
        if found.status == snapshots.Status.READY:
            return found
        if found.status == snapshots.Status.FAILED:
            raise DatasetVersionConflict(f"dataset version {found.id} could not be made: {found.details}")
        if found.origin == TRAINING_ORIGIN:
            return _freeze(work, found.seq, version)
        work.lease.sleep(POLL_SECONDS)


def _freeze(work: Work, seq: int, version: Version) -> DatasetVersion:
    with work.database.write() as connection:
        jobs.require(connection, work.job)
        snapshots.begin(connection, seq)
    concepts = [row["id"] for row in version.request["concepts"]]
    kind = "" if concepts else input_kind(find_template(version.model_type, version.request["template"]))
    return snapshot_job.freeze(work, seq, concepts, kind=kind)


def _checked(
    examples: Iterable[Example], concepts: tuple[RunConcept, ...], version: Version, plan: Plan
) -> CheckReport:
    exclusive = bool(getattr(plan, "mutually_exclusive", True))
    good = good_of(plan, [(one.id, one.name) for one in concepts])
    try:
        return check_examples(
            examples,
            [one for one in concepts if good is None or one.id in good],
            _tolerance(version),
            mutually_exclusive=exclusive,
            batch_size=plan.batch_size,
            regions=plan.learns_regions,
            one_enough=good is not None,
            labelled=plan.learns_concepts,
        )
    except NoTrainingData as error:
        if not concepts:
            raise
        names = ", ".join(concept.id for concept in concepts[:20])
        raise NoTrainingData(f"{error.details}. The concepts asked for: {names}") from error


def _examples(work: Work, spec: RunSpec, manifest: Path, plan: Plan, frozen: DatasetVersion) -> Iterator[Example]:
    """What is trained on: the dataset version, and what the parent learnt from as far as that is to be replayed."""
    examples = read_manifest(manifest)
    if spec.replay_percent:
        parent = RunFolder(Path(spec.resume_from).parents[1]).manifest_file
        there = lambda example: bool(example.text) or work.blobs.exists(example.blob)  # noqa: E731
        examples = with_replay(examples, parent, spec.replay_percent, spec.seed, there)
    return _wanted(examples, spec.concepts, plan, frozen)


def _wanted(
    examples: Iterable[Example], concepts: tuple[RunConcept, ...], plan: Plan, frozen: DatasetVersion
) -> Iterator[Example]:
    """The examples that say anything about the concepts, with no other labels and regions.

    Where regions are learnt, an input of the dataset without any is background, and kept; every input is where
    nothing is learnt of concepts. Where good pictures alone are learnt, the others are there for judging, and regions
    say where in them.
    """
    if not plan.learns_concepts:
        return (replace(example, labels={}, regions=()) for example in examples)
    good = good_of(plan, [(one.id, one.name) for one in concepts])
    background = plan.learns_regions and frozen.dataset is not None
    told = _told(examples, {one.id for one in concepts}, regions=plan.learns_regions or good is not None)
    wanted = (one for one in told if one.regions or background or (one.labels and not plan.learns_regions))
    return wanted if good is None else held_out(wanted, good)


def _told(examples: Iterable[Example], ids: set[str], *, regions: bool) -> Iterator[Example]:
    """What examples say about these concepts; of parts only where `regions`."""
    for example in examples:
        labels = {concept: value for concept, value in example.labels.items() if concept in ids}
        parts = tuple(region for region in example.regions if region.concept in ids) if regions else ()
        yield replace(example, labels=labels, regions=parts)


def _tolerance(version: Version) -> float:
    return float(version.request.get("invalid_data_tolerance_percent", 5.0))


# -- weights -----------------------------------------------------------------------------------------------------------


def _require_weights(work: Work, run: RunFolder, template: Template, name: str) -> None:
    """Sees that the named weights are here; fetches them from the hub unless that is forbidden."""
    if not name:
        return
    try:
        weights.require(work.settings.weights_folder, name)
    except MissingWeights:
        if work.settings.offline or not weights.fetched_when_needed(template, name):
            raise
        note(run, f"The weights {name} are not here yet; fetching them.")
        weights_pull.pull(work.settings.weights_folder, name)


def _assets(work: Work, version: Version, spec: RunSpec) -> list[Path]:
    """What a language model needs beside its weights: of the model that training goes on from, else of the base."""
    if input_kind(find_template(version.model_type, spec.template)) != "text":
        return []
    if spec.resume_from:
        return sorted(RunFolder(Path(spec.resume_from).parents[1]).assets.iterdir())
    return weights.assets(work.settings.weights_folder, spec.weights)


def _base(work: Work, version: Version, template: Template) -> dict[str, Any]:
    """The embedder of a transfer; raises InvalidTrainingParams where it was deleted meanwhile."""
    if template.embedder is None:
        return {}
    if resumed := _resume_from(work, version.request.get("resume_from")):
        return transfer_bases.of_transfer(RunFolder(Path(resumed).parents[1]))
    if not (wanted := version.request.get("base")):
        return transfer_bases.pretrained(template.embedder, work.settings.weights_folder)
    with work.database.read() as connection:
        source = versions.by_id(connection, wanted["version_id"])
    if source is None or not source.checkpoint:
        raise InvalidTrainingParams(
            f"base_embed_model {wanted['model_id']} was deleted before the training began; train again with another"
        )
    return transfer_bases.trained(work.run_folder(source.run_folder), source.checkpoint)


def _parent(work: Work, version: Version) -> RunFolder | None:
    """The run that training goes on from."""
    resumed = _resume_from(work, version.request.get("resume_from"))
    return RunFolder(Path(resumed).parents[1]) if resumed else None


def _resume_from(work: Work, wanted: dict[str, str] | None) -> str:
    """The checkpoint folder of the version to start from, "" for none."""
    if not wanted:
        return ""
    with work.database.read() as connection:
        source = versions.by_id(connection, wanted["version_id"])
    if source is None or not source.checkpoint:
        raise InvalidTrainingParams(
            f"train_info.resume_from_model names version {wanted['version_id']}, which is gone or has no checkpoint; "
            "name a trained version or leave it out"
        )
    return str(work.run_folder(source.run_folder).path / source.checkpoint)
