"""PatchAnnotations, item by item: every check comes before the item's first write. Next: `region_patches`, `labels`.

What the items look at is read once for all of them and kept true here, so that a call of 128 is one short transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import DoesNotExist, InputDoesNotExist, InvalidRequest, shown
from luthier.rpcs import labels, regions
from luthier.rpcs.annotation_message import FIELDS, MAX_MESSAGE_BYTES, check_kept, status_of
from luthier.rpcs.patching import patch
from luthier.rpcs.region_patches import patched
from luthier.store import annotations, inputs
from luthier.store import regions as stored_regions
from luthier.store.annotations import AnnotationRow
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
        self._touched: set[int] = set()

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
        self._write(row, change, stored, values, after)
        return change.key

    def finish(self) -> dict[Key, AnnotationRow]:
        """The annotations as they are now."""
        inputs.touch(self._connection, sorted(self._touched))
        rows = annotations.find_pairs(self._connection, self._app.seq, sorted(self._rows)) if self._rows else []
        return {(row.input_id, row.id): row for row in rows}

    def _found(self, key: Key) -> tuple[AnnotationRow, InputRow]:
        input_id, id = key
        if input_id not in self._inputs:
            raise InputDoesNotExist(f"input {shown(input_id)!r} does not exist in this app")
        if key not in self._rows:
            raise DoesNotExist(f"annotation {shown(id)!r} of input {shown(input_id)!r} does not exist")
        return self._rows[key], self._inputs[input_id]

    def _write(
        self,
        row: AnnotationRow,
        change: Change,
        stored: resources_pb2.Annotation,
        values: dict[str, int],
        after: list[resources_pb2.Region],
    ) -> None:
        named: list[labels.Labels] = [] if self._action == "remove" else [change.labels]
        kept = {id: labels.Label(id, value) for id, value in values.items()}
        if change.labels or change.regions.regions:
            sets = [*named, kept, regions.concepts_of(after)]
            seqs = labels.concept_seqs(self._connection, self._app, sets)
            if change.regions.regions:
                found = regions.rows_of(after, seqs)
                stored_regions.replace(self._connection, row.seq, row.input, found)
            if change.labels:
                by_seq = {seqs[id]: value for id, value in values.items()}
                annotations.set_labels(self._connection, row.seq, row.input, by_seq)
                self._keep_labels(row, values)
        message = stored.SerializeToString()
        annotations.set_message(self._connection, row.seq, message)
        status = status_of(change.sent) if self._action != "remove" else 0
        if status and status != row.status:
            annotations.set_status(self._connection, row.seq, status)
        self._rows[change.key] = replace(row, message=message, status=status or row.status)
        self._touched.add(row.input)

    def _keep_labels(self, row: AnnotationRow, values: dict[str, int]) -> None:
        others = [label for label in self._labels[row.input] if label.annotation != row.seq]
        mine = [annotations.Label(row.seq, row.input, id, id, value) for id, value in values.items()]
        self._labels[row.input] = [*others, *mine]
