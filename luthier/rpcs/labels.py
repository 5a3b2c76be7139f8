"""Whole-input concepts with their values, as inputs and annotations carry them. Next: `regions`, `annotations`.

A value is 1 (it shows this) or 0 (it does not). A concept that is not there yet is made by the label that names it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import InvalidAnnotation, InvalidConcept, shown
from luthier.rpcs.concepts import checked_name
from luthier.rpcs.ids import label_id
from luthier.store import annotations, concepts
from luthier.store.database import Connection
from luthier.store.resources import AppRow

MOST_LABELS = 1000  # of one input or annotation

Labels = Mapping[str, "Label"]


@dataclass(frozen=True)
class Label:
    name: str
    value: int


def labels_of(sent: Sequence[resources_pb2.Concept], field: str = "data.concepts") -> dict[str, Label]:
    """By concept id. Raises InvalidConcept for a value that is neither 0 nor 1, or two values for one concept."""
    if len(sent) > MOST_LABELS:
        raise InvalidConcept(f"{field} holds {len(sent)} concepts; at most {MOST_LABELS} are kept")
    found: dict[str, Label] = {}
    for concept in sent:
        id = label_id(concept.id or concept.name, f"{field}.id")
        label = Label(checked_name(concept.name) or id, _value(concept, field))
        if id in found and found[id].value != label.value:
            raise InvalidConcept(f"{field} gives {shown(id)!r} the value 0 and the value 1; send one of them")
        found[id] = label
    return found


def _value(concept: resources_pb2.Concept, field: str) -> int:
    if concept.value not in (0.0, 1.0):
        name = shown(concept.id or concept.name)
        raise InvalidConcept(f"{field}: the value of {name!r} is {concept.value}; give 1 (positive) or 0 (negative)")
    return int(concept.value)


def patched(current: Mapping[str, int], change: Labels, action: str) -> dict[str, int]:
    """Values by concept id after a merge, overwrite or remove."""
    sent = {id: label.value for id, label in change.items()}
    if action == "overwrite":
        return sent
    if action == "remove":
        return {id: value for id, value in current.items() if id not in sent}
    return dict(current) | sent


def concept_seqs(connection: Connection, app: AppRow, sets: Iterable[Labels]) -> dict[str, int]:
    """Seq by id of every concept that the sets name; those that are not there are made."""
    names: dict[str, str] = {}
    for labels in sets:
        for id, label in labels.items():
            names.setdefault(id, label.name)
    return concepts.seqs_made(connection, app.seq, names) if names else {}


def refuse_contradiction(
    known: Sequence[annotations.Label], new: Mapping[str, int], except_annotation: int = 0
) -> None:
    """Raises InvalidAnnotation where another annotation of the same input says the opposite."""
    for label in known:
        if label.annotation != except_annotation and new.get(label.concept_id, label.value) != label.value:
            raise InvalidAnnotation(
                f"another annotation of this input gives {shown(label.concept_id)!r} the value {label.value}; "
                "patch or delete that one first"
            )


def shown_labels(labels: Iterable[annotations.Label], app: AppRow) -> list[resources_pb2.Concept]:
    return [
        resources_pb2.Concept(
            id=label.concept_id, name=label.name, value=float(label.value), app_id=app.id, user_id=app.user_id
        )
        for label in labels
    ]
