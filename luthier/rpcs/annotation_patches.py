"""PatchAnnotations, item by item: every check comes before the item's first write. Next: `region_patches`, `labels`.

What the items look at is read once for all of them and kept true here, so that a call of 128 is one short transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import DoesNotExist, InputDoesNotExist, InvalidRequest, shown
from luthier.rpcs import labels, regions
from luthier.rpcs.annotation_message import FIELDS, MAX_MESSAGE_BYTES, check_kept, status_of
from luthier.rpcs.patching import patch
from luthier.rpcs.region_patches import patched
from luthier.store import annotations, inputs
from luthier.store.annotations import AnnotationRow, Changed
from luthier.store.database import Connection
from luthier.store.inputs import InputRow
from luthier.store.resources import AppRow

Key = tuple[str, str]  # ids of an input and an annotation of it


@dataclass(frozen=True)
class Change:
    """An item of the call that has passed every check that needs no database."""

    sent: resources_pb2.Annotation
    labels: dict[str, labels.Label]
    regions: regions.Sent

    @property
    def key(self) -> Key:
        return self.sent.input_id, self.sent.id


def read(sent: resources_pb2.Annotation) -> Change:
    """Raises the LuthierError that the item's status shall show."""
    for field in ("input_id", "id"):
        if not getattr(sent, field):
            raise InvalidRequest(f"annotations.{field} is empty; name the input and the annotation")
    found = regions.read(sent.data.regions, partial=True)
    return Change(sent, labels.labels_of(sent.data.concepts), found)


class Patching:
    """The annotations that a call changes, as they are so far."""

    def __init__(self, connection: Connection, app: AppRow, changes: Sequence[Change], action: str) -> None:
        self._connection, self._app, self._action = connection, app, action
        self._inputs = inputs.find_many(connection, app.seq, {change.key[0] for change in changes})
        rows = annotations.find_pairs(connection, app.seq, sorted({change.key for change in changes}))
        self._rows = {(row.input_id, row.id): row for row in rows}
        self._labels = annotations.all_labels(connection, [row.seq for row in self._inputs.values()])
        self._said: dict[Key, set[str]] = {}  # which annotations have changed, and whether labels and regions too
        self._named: list[labels.Labels] = []  # concepts to find or to make

    def apply(self, change: Change) -> Key:
        row, input = self._found(change.key)
        stored = resources_pb2.Annotation.FromString(row.message)
        regions.check_fit(change.regions.regions, input.kind, input.width, input.height)
        after = list(stored.data.regions)
        if change.regions.regions:
            after = patched(after, change.regions.regions, self._action)
            stored.data.ClearField("regions")
            stored.data.regions.extend(after)
        patch(stored, change.sent, self._action, FIELDS, MAX_MESSAGE_BYTES)
        patch(stored.data, change.sent.data, self._action, ("metadata",), MAX_MESSAGE_BYTES)
        check_kept(stored)
        mine = [label for label in self._labels[input.seq] if label.annotation == row.seq]
        values = {label.concept_id: label.value for label in mine}
        values = labels.patched(values, change.labels, self._action) if change.labels else values
        labels.refuse_contradiction(self._labels[input.seq], values, row.seq)
        self._keep(change, row, stored, values)
        return change.key

    def finish(self) -> dict[Key, AnnotationRow]:
        """Writes them, and returns them as they are then."""
        made = labels.concept_seqs(self._connection, self._app, self._named)
        rows = [self._rows[key] for key in self._said]
        annotations.rewrite(self._connection, [self._changed(row, made) for row in rows])
        inputs.touch(self._connection, sorted({row.input for row in rows}))
        keys = sorted(self._said)
        found = annotations.find_pairs(self._connection, self._app.seq, keys) if keys else []
        return {(row.input_id, row.id): row for row in found}

    def _changed(self, row: AnnotationRow, seqs: Mapping[str, int]) -> Changed:
        said = self._said[row.input_id, row.id]
        mine = [label for label in self._labels[row.input] if label.annotation == row.seq]
        after = resources_pb2.Annotation.FromString(row.message).data.regions
        return Changed(
            row.seq,
            row.input,
            row.status,
            row.message,
            {seqs[label.concept_id]: label.value for label in mine} if "labels" in said else None,
            regions.rows_of(after, seqs) if "regions" in said else None,
        )

    def _found(self, key: Key) -> tuple[AnnotationRow, InputRow]:
        input_id, id = key
        if input_id not in self._inputs:
            raise InputDoesNotExist(f"input {shown(input_id)!r} does not exist in this app")
        if key not in self._rows:
            raise DoesNotExist(f"annotation {shown(id)!r} of input {shown(input_id)!r} does not exist")
        return self._rows[key], self._inputs[input_id]

    def _keep(
        self, change: Change, row: AnnotationRow, stored: resources_pb2.Annotation, values: dict[str, int]
    ) -> None:
        said = self._said.setdefault(change.key, set())
        self._named += [change.labels] if self._action != "remove" else []  # first, for the names that they bring
        if change.labels:
            said.add("labels")
            others = [label for label in self._labels[row.input] if label.annotation != row.seq]
            mine = [annotations.Label(row.seq, row.input, id, id, value) for id, value in values.items()]
            self._labels[row.input] = [*others, *mine]
            self._named += [{id: labels.Label(id, value) for id, value in values.items()}]
        if change.regions.regions:
            said.add("regions")
            self._named += [regions.concepts_of(stored.data.regions)]
        status = (status_of(change.sent) if self._action != "remove" else 0) or row.status
        self._rows[change.key] = replace(row, message=stored.SerializeToString(), status=status)
