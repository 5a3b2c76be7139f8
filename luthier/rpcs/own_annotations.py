"""The annotation that an input came with: its labels and regions, under the input's id. Next: `inputs`."""

from collections.abc import Iterable, Sequence

from clarifai_grpc.grpc.api import resources_pb2

from luthier.rpcs import codes, labels, regions
from luthier.rpcs.context import Context
from luthier.rpcs.region_patches import patched
from luthier.store import annotations
from luthier.store.annotations import Changed, NewAnnotation
from luthier.store.database import Connection
from luthier.store.inputs import InputRow
from luthier.store.resources import AppRow

Regions = Sequence[resources_pb2.Region]


def add(
    ctx: Context, connection: Connection, app: AppRow, new: Iterable[tuple[InputRow, labels.Labels, Regions]]
) -> None:
    """One for each new input that came with labels or regions; what they name is made."""
    some = [one for one in new if one[1] or one[2]]
    seqs = labels.concept_seqs(
        connection, app, [named for _, given, found in some for named in (given, regions.concepts_of(found))]
    )
    rows = [
        NewAnnotation(
            input=row.seq,
            id=row.id,
            own=True,
            message=_message(found),
            labels={seqs[id]: label.value for id, label in given.items()},
            regions=regions.rows_of(found, seqs),
        )
        for row, given, found in some
    ]
    annotations.add(connection, app.seq, ctx.caller.user_id, codes.ANNOTATION_GOOD, rows)


def patch(
    ctx: Context,
    connection: Connection,
    app: AppRow,
    row: InputRow,
    new_labels: labels.Labels,
    new_regions: Regions,
    action: str,
) -> None:
    """Every check comes before the first write. Raises InvalidAnnotation and InvalidConcept."""
    own = annotations.own_of(connection, [row.seq]).get(row.seq)
    everything = annotations.all_labels(connection, [row.seq]).get(row.seq, [])
    mine = {label.concept_id: label.value for label in everything if own and label.annotation == own.seq}
    values = labels.patched(mine, new_labels, action) if new_labels else mine
    labels.refuse_contradiction(everything, values, own.seq if own else 0)
    before = list(resources_pb2.Annotation.FromString(own.message).data.regions) if own else []
    after = patched(before, new_regions, action) if new_regions else before
    named = [new_labels] if action != "remove" else []
    kept = {id: labels.Label(id, value) for id, value in values.items()}
    seqs = labels.concept_seqs(connection, app, [*named, kept, regions.concepts_of(after)])
    by_seq, rows = {seqs[id]: value for id, value in values.items()}, regions.rows_of(after, seqs)
    if own is None:
        new = NewAnnotation(row.seq, row.id, True, _message(after), by_seq, rows)
        annotations.add(connection, app.seq, ctx.caller.user_id, codes.ANNOTATION_GOOD, [new])
        return
    changed = Changed(own.seq, row.seq, own.status, _message(after), by_seq, rows if new_regions else None)
    annotations.rewrite(connection, [changed])


def _message(found: Regions) -> bytes:
    message: bytes = resources_pb2.Annotation(data=resources_pb2.Data(regions=found)).SerializeToString()
    return message
