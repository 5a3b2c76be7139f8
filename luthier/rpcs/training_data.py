"""The data that a training is to learn from: which dataset, which concepts, and whether they suffice.

Next: `training_request`, which asks. The worker checks once more, on the frozen manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import (
    DatasetVersionConflict,
    DoesNotExist,
    InsufficientData,
    InvalidConcept,
    InvalidTrainingParams,
    NoPositives,
    NoTrainingData,
    SingleClass,
    shown,
)
from luthier.rpcs.training_time import split_of
from luthier.store import training_requests
from luthier.store.database import Connection
from luthier.store.models import ModelRow
from luthier.store.snapshots import DatasetVersion, Status
from luthier.store.training_requests import ConceptRow

LISTED = 20  # names that a message lists
FEWEST_INPUTS = 2


@dataclass(frozen=True)
class NamedData:
    """What the request names; None and None: all inputs of the app that carry one of the concepts."""

    dataset: int | None = None  # seq
    version: DatasetVersion | None = None

    @property
    def frozen(self) -> bool:
        return self.version is not None and self.version.status == Status.READY

    @property
    def frozen_split(self) -> tuple[int, int, int]:
        splits = self.version.counts.get("splits", {}) if self.version else {}
        return splits.get("train", 0), splits.get("val", 0), splits.get("test", 0)


@dataclass(frozen=True)
class Learnable:
    """How many examples there are, and how many positive and negative ones per concept id."""

    inputs: int
    positives: Mapping[str, int]
    negatives: Mapping[str, int]
    split: tuple[int, int, int]


def dataset_of(
    connection: Connection, model: ModelRow, train_info: resources_pb2.TrainInfo, params: Mapping[str, Any]
) -> NamedData:
    """What params or the typed `train_info.dataset` name; "" and missing are the same, a version may come alone."""
    dataset_id = _same(params.get("dataset_id"), train_info.dataset.id, "dataset_id")
    version_id = _same(params.get("dataset_version_id"), train_info.dataset.version.id, "dataset_version_id")
    _in_this_app(model, train_info.dataset)
    dataset = _dataset(connection, model, dataset_id) if dataset_id else None
    if not version_id:
        return NamedData(dataset)
    found = training_requests.dataset_versions_named(connection, model.app, version_id, dataset)
    if not found:
        where = f"dataset {shown(dataset_id)!r}" if dataset_id else f"app {shown(model.app_id)!r}"
        raise DoesNotExist(f"dataset version {shown(version_id)!r} does not exist in {where}")
    if len(found) > 1:
        raise InvalidTrainingParams(
            f"{len(found)} datasets have a version {shown(version_id)!r}; give train_info.params.dataset_id as well"
        )
    if found[0].status == Status.FAILED:
        raise DatasetVersionConflict(
            f"dataset version {shown(version_id)!r} failed ({found[0].details}); make another and train on that"
        )
    return NamedData(found[0].dataset, found[0])


def concepts_of(
    connection: Connection, model: ModelRow, sent: Sequence[resources_pb2.Concept], most: int
) -> list[ConceptRow]:
    """The rows of the concepts to learn, in the order sent. Raises InvalidTrainingParams and InvalidConcept."""
    ids = [concept.id or concept.name for concept in sent]
    if not ids:
        raise InvalidTrainingParams(f"output_info.data.concepts is empty; {_offer(connection, model)}")
    if len(ids) > most:
        raise InvalidTrainingParams(f"output_info.data.concepts holds {len(ids)} concepts; at most {most} are allowed")
    twice = sorted({id for id in ids if ids.count(id) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise InvalidConcept(f"duplicate concept ids in output_info.data.concepts: {listed(twice)}; name each once")
    rows = training_requests.concepts_named(connection, model.app, ids)
    unknown = [id for id in ids if id not in rows]
    if unknown:
        raise InvalidTrainingParams(
            f"output_info.data.concepts names {listed(unknown)}, not in the app; {_offer(connection, model)}"
        )
    return [rows[id] for id in ids]


def no_concepts(model: ModelRow, sent: Sequence[resources_pb2.Concept]) -> list[ConceptRow]:
    """Of a model that learns from inputs alone: none; raises InvalidTrainingParams where there are some."""
    if sent:
        ids = [concept.id or concept.name for concept in sent]
        raise InvalidTrainingParams(
            f"output_info.data.concepts names {listed(ids)}, but a {model.model_type} learns no concepts: leave it out"
        )
    return []


def learnable(
    connection: Connection,
    model: ModelRow,
    concepts: Sequence[ConceptRow],
    data: NamedData,
    kind: str,
    *,
    regions: bool = False,
) -> Learnable:
    """From the frozen version's own counts, else from the labels, or those of `regions`, that there are now.

    `kind` is that of the inputs: "image", "text".
    """
    if data.frozen and data.version:
        per_concept = data.version.counts.get("per_concept", {})
        carried = "region_inputs" if regions else "positive"
        positives = {one.id: per_concept.get(one.id, {}).get(carried, 0) for one in concepts}
        negatives = {one.id: per_concept.get(one.id, {}).get("negative", 0) for one in concepts}
        return Learnable(sum(data.frozen_split), positives, negatives, data.frozen_split)
    if not concepts:
        inputs = training_requests.input_count(connection, model.app, kind, data.dataset)
        return Learnable(inputs, {}, {}, split_of(inputs))
    seqs = [one.seq for one in concepts]
    counts = training_requests.label_counts(connection, model.app, kind, seqs, data.dataset, regions=regions)
    return Learnable(
        counts.inputs,
        {one.id: counts.positives.get(one.seq, 0) for one in concepts},
        {one.id: counts.negatives.get(one.seq, 0) for one in concepts},
        split_of(counts.inputs),
    )


def check_learnable(
    found: Learnable, concepts: Sequence[ConceptRow], mutually_exclusive: bool, *, single_allowed: bool = False
) -> None:
    """Raises NoTrainingData, SingleClass, NoPositives and InsufficientData, each saying what to add."""
    if not found.inputs and not concepts:
        raise NoTrainingData("there is no input to learn from; add some and train again")
    if not found.inputs:
        names = listed([one.id for one in concepts])
        raise NoTrainingData(f"no input is labelled with {names}; label inputs with them and train again")
    if len(concepts) == 1 and not single_allowed:
        _check_single(found, concepts[0], mutually_exclusive)
    missing = [one.id for one in concepts if not found.positives[one.id]]
    if missing:
        raise NoPositives(
            f"{len(missing)} of {len(concepts)} concepts have no positive example: {listed(missing)}; "
            "label inputs with them or leave them out"
        )
    if found.inputs < FEWEST_INPUTS:
        raise InsufficientData(
            f"{found.inputs} input {'is labelled' if concepts else 'is there'}; at least {FEWEST_INPUTS} are needed, "
            "and many more are better"
        )


def check_good(found: Learnable, concepts: Sequence[ConceptRow], good: frozenset[str]) -> None:
    """For who learns good pictures alone: there must be some, and any other concept may be without pictures.

    `good` are the ids of the concepts that they carry; none: they are those labelled as not having the others. Raises
    NoTrainingData, NoPositives and InsufficientData.
    """
    names = listed([one.id for one in concepts])
    if not found.inputs:
        raise NoTrainingData(f"no input is labelled with {names}; label inputs with them and train again")
    carried = found.positives if good else found.negatives
    pictures = sum(carried[one.id] for one in concepts if not good or one.id in good)
    if not pictures:
        wanted = f"carries {listed(sorted(good))}" if good else f"is labelled as not having {names} (value 0)"
        raise NoPositives(
            f"this training learns good pictures, and no input {wanted}; label some, or name the concept of good "
            "pictures (called good, normal or ok, or by good_concept)"
        )
    if pictures < FEWEST_INPUTS:
        raise InsufficientData(
            f"{pictures} input is labelled as good; at least {FEWEST_INPUTS} are needed, and many more are better"
        )


def listed(names: Sequence[str]) -> str:
    """The first names, escaped, and how many more there are."""
    text = ", ".join(shown(name) for name in names[:LISTED])
    return f"{text} and {len(names) - LISTED} more" if len(names) > LISTED else text


def _check_single(found: Learnable, concept: ConceptRow, mutually_exclusive: bool) -> None:
    if mutually_exclusive:
        raise SingleClass(
            f"{shown(concept.id)} is the only concept and this training takes exactly one concept per input; add a "
            "second concept, or train with concepts_mutually_exclusive false (logreg 1) and negative examples"
        )
    if not found.negatives[concept.id]:
        raise SingleClass(
            f"{shown(concept.id)} is the only concept and no input is labelled as not {shown(concept.id)}; "
            "give negative examples or a second concept"
        )


def _same(from_params: Any, typed: str, field: str) -> str:
    if from_params is not None and not isinstance(from_params, str):
        raise InvalidTrainingParams(f"train_info.params.{field} is {shown(from_params)}; give an id as text")
    if from_params and typed and from_params != typed:
        raise InvalidTrainingParams(
            f"train_info.params.{field} is {shown(from_params)!r}, train_info.dataset has {shown(typed)!r}; give one"
        )
    return from_params or typed


def _in_this_app(model: ModelRow, dataset: resources_pb2.Dataset) -> None:
    if dataset.app_id not in ("", model.app_id) or dataset.user_id not in ("", "me", model.user_id):
        raise DoesNotExist(f"dataset {shown(dataset.id)!r} is not in the model's app {shown(model.app_id)!r}")


def _dataset(connection: Connection, model: ModelRow, id: str) -> int:
    seq = training_requests.dataset_seq(connection, model.app, id)
    if seq is None:
        raise DoesNotExist(f"dataset {shown(id)!r} does not exist in app {shown(model.app_id)!r}")
    return seq


def _offer(connection: Connection, model: ModelRow) -> str:
    have = training_requests.first_concepts(connection, model.app, LISTED + 1)
    if not have:
        return "the app has no concepts yet: label inputs first"
    more = ", …" if len(have) > LISTED else ""
    return f"name concepts of the app: {', '.join(shown(id) for id in have[:LISTED])}{more}"
