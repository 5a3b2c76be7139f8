"""An annotation as it is shown, and what of a sent one its message keeps. Next: `annotations`, `marked`."""

from collections.abc import Mapping, Sequence

from clarifai_grpc.grpc.api import resources_pb2

from luthier.rpcs import labels, regions
from luthier.rpcs.context import Context, status, timestamp
from luthier.rpcs.marked import show_masks
from luthier.rpcs.patching import MAX_METADATA_BYTES, check_metadata
from luthier.store import annotations
from luthier.store import regions as stored_regions
from luthier.store.annotations import AnnotationRow
from luthier.store.database import Connection
from luthier.store.resources import AppRow

FIELDS = ("annotation_info", "task_id")
MAX_MESSAGE_BYTES = regions.MOST_BYTES + 2 * MAX_METADATA_BYTES + 1024
REVIEWED = (24150, 24151, 24157, 24158)  # statuses that people give: good, pending, awaiting review, review denied


def status_of(sent: resources_pb2.Annotation) -> int:
    """The status that a client may set; 0 for any other, which is ignored. Only what is good (24150) is learnt from."""
    return sent.status.code if sent.status.code in REVIEWED else 0


def check_kept(message: resources_pb2.Annotation) -> None:
    """Raises InvalidRequest for an annotation_info or metadata over the limits."""
    check_metadata(message.annotation_info, "annotation_info")
    check_metadata(message.data.metadata, "data.metadata")


def shown_annotations(
    ctx: Context, connection: Connection, app: AppRow, rows: Sequence[AnnotationRow], *, whole: bool = False
) -> list[resources_pb2.Annotation]:
    """With labels, and the names that the concepts of regions have now; `whole`: with the bytes of masks."""
    seqs = [row.seq for row in rows]
    found, names = annotations.labels_of(connection, seqs), stored_regions.names_of(connection, seqs)
    shown = [_shown(app, row, found.get(row.seq, []), names.get(row.seq, {})) for row in rows]
    show_masks(ctx, (region for one in shown for region in one.data.regions), whole=whole)
    return shown


def _shown(
    app: AppRow, row: AnnotationRow, found: Sequence[annotations.Label], names: Mapping[str, str]
) -> resources_pb2.Annotation:
    annotation = resources_pb2.Annotation.FromString(row.message)
    annotation.id, annotation.input_id, annotation.user_id = row.id, row.input_id, row.user
    annotation.input_level = not annotation.data.regions
    annotation.data.concepts.extend(labels.shown_labels(found, app))
    for region in annotation.data.regions:
        _name_concepts(region, names, app)
    annotation.status.CopyFrom(status(row.status))
    annotation.created_at.CopyFrom(timestamp(row.created_at))
    annotation.modified_at.CopyFrom(timestamp(row.modified_at))
    return annotation


def _name_concepts(region: resources_pb2.Region, names: Mapping[str, str], app: AppRow) -> None:
    """A concept that has been deleted since is not shown."""
    there = [
        resources_pb2.Concept(id=one.id, name=names[one.id], value=one.value, app_id=app.id, user_id=app.user_id)
        for one in region.data.concepts
        if one.id in names
    ]
    region.data.ClearField("concepts")
    region.data.concepts.extend(there)
