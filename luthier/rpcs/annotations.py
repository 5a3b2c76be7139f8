"""Annotations: what people say of an input, as labels of the whole or of regions. Next: `labels`, `regions`.

The annotation that an input came with is its own: it has the input's id, is patched through PatchInputs, and lists
show it only when asked for (by id, or list_all_annotations).
"""

from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import (
    DoesNotExist,
    DuplicateId,
    InputDoesNotExist,
    InvalidAnnotation,
    InvalidRequest,
    LuthierError,
    shown,
)
from luthier.rpcs import codes, labels, regions
from luthier.rpcs.context import (
    MAX_PER_PAGE,
    Context,
    app_of,
    attempt,
    batch_of,
    mixed_status,
    page_of,
    status,
    status_of_error,
    timestamp,
)
from luthier.rpcs.ids import new_id, plain_id
from luthier.rpcs.inputs import find_input
from luthier.rpcs.patching import MAX_METADATA_BYTES, action_of, check_metadata, kept, patch
from luthier.store import annotations, inputs
from luthier.store.annotations import AnnotationRow
from luthier.store.database import Connection
from luthier.store.inputs import InputRow
from luthier.store.resources import AppRow

FIELDS = ("annotation_info", "task_id")
MAX_MESSAGE_BYTES = regions.MOST_BYTES + MAX_METADATA_BYTES + 1024
_UNCHECKED, _GOOD = codes.INPUT_PENDING, codes.INPUT_GOOD
Result = AnnotationRow | LuthierError


def PostAnnotations(ctx: Context, request: service_pb2.PostAnnotationsRequest) -> service_pb2.MultiAnnotationResponse:
    """A bad item gets its own status and spoils no other."""
    batch = batch_of(request.annotations, "annotations")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = inputs.find_many(connection, app.seq, {item.input_id for item in batch})
        known = annotations.all_labels(connection, [row.seq for row in rows.values()])
        taken = _taken(connection, app, batch)
        checked = attempt(batch, lambda item: _check_new(item, rows, known, taken))
        results = _add(ctx, connection, app, checked)
        return _answer(connection, app, batch, results)


def GetAnnotation(ctx: Context, request: service_pb2.GetAnnotationRequest) -> service_pb2.SingleAnnotationResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        row = _find(connection, app, request.input_id, request.annotation_id)
        return service_pb2.SingleAnnotationResponse(annotation=_shown(connection, app, [row])[0])


def ListAnnotations(ctx: Context, request: service_pb2.ListAnnotationsRequest) -> service_pb2.MultiAnnotationResponse:
    page, wanted = page_of(request), _wanted(request)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = annotations.page(connection, app.seq, page.offset, page.limit, wanted)
        return service_pb2.MultiAnnotationResponse(annotations=_shown(connection, app, rows))


def PatchAnnotations(ctx: Context, request: service_pb2.PatchAnnotationsRequest) -> service_pb2.MultiAnnotationResponse:
    action, batch = action_of(request.action), batch_of(request.annotations, "annotations")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        results = attempt(batch, lambda item: _patch(connection, app, item, action))
        answer = _answer(connection, app, batch, results)
        if request.delete_if_empty_data:
            _delete_empty(connection, answer, results)
    return answer


def DeleteAnnotation(ctx: Context, request: service_pb2.DeleteAnnotationRequest) -> status_pb2.BaseResponse:
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        row = _find(connection, app, request.input_id, request.annotation_id)
        annotations.remove(connection, [row.seq])
    return status_pb2.BaseResponse()


def DeleteAnnotations(ctx: Context, request: service_pb2.DeleteAnnotationsRequest) -> status_pb2.BaseResponse:
    """Pairs of ids and input_ids; input_ids alone: all annotations of these inputs but their own."""
    batch_of(request.input_ids, "input_ids")
    if request.ids and len(request.ids) != len(request.input_ids):
        raise InvalidRequest(
            f"{len(request.ids)} ids and {len(request.input_ids)} input_ids; give as many of both, or input_ids alone"
        )
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        if request.ids:
            rows = annotations.find_pairs(connection, app.seq, list(zip(request.input_ids, request.ids, strict=True)))
            if not rows:
                raise DoesNotExist(f"none of these annotations exists: {', '.join(map(shown, request.ids[:10]))}")
        else:
            rows = annotations.of_inputs(connection, app.seq, list(request.input_ids))
        annotations.remove(connection, [row.seq for row in rows])
    return status_pb2.BaseResponse()


# -- adding ------------------------------------------------------------------------------------------------------------


class _New:
    """An annotation that has passed every check."""

    def __init__(self, sent: resources_pb2.Annotation, row: InputRow) -> None:
        self.input = row
        self.id = plain_id(sent.id, "annotations.id") if sent.id else new_id()
        self.labels = labels.labels_of(sent.data.concepts)
        self.message = kept(sent, FIELDS)
        check_metadata(sent.annotation_info, "annotation_info")
        self.message.data.regions.extend(regions.regions_of(sent.data.regions, row.kind))
        if not self.labels and not self.message.data.regions:
            raise InvalidAnnotation("data holds no concepts and no regions; give at least one")


def _taken(
    connection: Connection, app: AppRow, batch: Sequence[resources_pb2.Annotation]
) -> dict[tuple[str, str], object]:
    """The (input id, annotation id) pairs that exist; `_check_new` adds those of the batch."""
    pairs = [(item.input_id, item.id) for item in batch if item.id]
    rows = annotations.find_pairs(connection, app.seq, pairs) if pairs else []
    return {(row.input_id, row.id): row for row in rows}


def _check_new(
    sent: resources_pb2.Annotation,
    rows: dict[str, InputRow],
    known: dict[int, list[annotations.Label]],
    taken: dict[tuple[str, str], object],
) -> _New:
    row = rows.get(sent.input_id)
    if row is None:
        raise InputDoesNotExist(f"input {shown(sent.input_id)!r} does not exist in this app")
    if row.status not in (_UNCHECKED, _GOOD):
        raise InvalidAnnotation(f"input {shown(row.id)!r} is no good (status {row.status}: {row.details}); delete it")
    new = _New(sent, row)
    if (row.id, new.id) in taken:
        raise DuplicateId(f"duplicate id: input {shown(row.id)!r} has an annotation {shown(new.id)!r} already")
    values = {id: label.value for id, label in new.labels.items()}
    labels.refuse_contradiction(known.get(row.seq, []), values)
    taken[(row.id, new.id)] = new
    said = [annotations.Label(0, row.seq, id, id, value) for id, value in values.items()]
    known[row.seq] = [*known.get(row.seq, []), *said]
    return new


def _add(ctx: Context, connection: Connection, app: AppRow, checked: Sequence[_New | LuthierError]) -> list[Result]:
    new = [item for item in checked if isinstance(item, _New)]
    named = [item.labels for item in new] + [regions.concepts_of(item.message.data.regions) for item in new]
    concepts = labels.concept_seqs(connection, app, named)
    rows = [
        annotations.NewAnnotation(
            input=item.input.seq,
            id=item.id,
            own=False,
            message=item.message.SerializeToString(),
            labels={concepts[id]: label.value for id, label in item.labels.items()},
        )
        for item in new
    ]
    annotations.add(connection, app.seq, ctx.caller.user_id, codes.ANNOTATION_GOOD, rows)
    inputs.touch(connection, sorted({item.input.seq for item in new}))
    pairs = [(item.input.id, item.id) for item in new]
    made = {(row.input_id, row.id): row for row in annotations.find_pairs(connection, app.seq, pairs)} if pairs else {}
    return [made[item.input.id, item.id] if isinstance(item, _New) else item for item in checked]


# -- patching ----------------------------------------------------------------------------------------------------------


def _patch(connection: Connection, app: AppRow, change: resources_pb2.Annotation, action: str) -> AnnotationRow:
    """Every check comes before the first write, so that an item that fails has changed nothing."""
    row = _find(connection, app, change.input_id, change.id)
    input_row = find_input(connection, app, row.input_id)
    new_labels = labels.labels_of(change.data.concepts)
    new_regions = regions.regions_of(change.data.regions, input_row.kind)
    stored = resources_pb2.Annotation.FromString(row.message)
    patch(stored, change, action, FIELDS, MAX_MESSAGE_BYTES)
    check_metadata(stored.annotation_info, "annotation_info")
    if new_regions:
        patched_regions = regions.patched(list(stored.data.regions), new_regions, action)
        stored.data.ClearField("regions")
        stored.data.regions.extend(patched_regions)
    everything = annotations.all_labels(connection, [row.input]).get(row.input, [])
    mine = {label.concept_id: label.value for label in everything if label.annotation == row.seq}
    values = labels.patched(mine, new_labels, action) if new_labels else mine
    labels.refuse_contradiction(everything, values, row.seq)
    if action != "remove":
        labels.concept_seqs(connection, app, [new_labels, regions.concepts_of(new_regions)])
    seqs = labels.concept_seqs(connection, app, [{id: labels.Label(id, value) for id, value in values.items()}])
    annotations.set_labels(connection, row.seq, row.input, {seqs[id]: value for id, value in values.items()})
    annotations.set_message(connection, row.seq, stored.SerializeToString())
    inputs.touch(connection, [row.input])
    return _find(connection, app, row.input_id, row.id)


def _delete_empty(
    connection: Connection, answer: service_pb2.MultiAnnotationResponse, results: Sequence[Result]
) -> None:
    empty = [
        result.seq
        for item, result in zip(answer.annotations, results, strict=True)
        if isinstance(result, AnnotationRow) and not item.data.concepts and not item.data.regions
    ]
    annotations.remove(connection, empty)


# -- reading -----------------------------------------------------------------------------------------------------------


def _wanted(request: service_pb2.ListAnnotationsRequest) -> annotations.Wanted:
    for field in ("model_version_ids", "workflow_version_ids", "task_id", "return_model_output"):
        if getattr(request, field):
            raise InvalidRequest(f"{field} is not served; annotations are found by ids, input_ids, user_ids, statuses")
    for field in ("ids", "input_ids", "user_ids", "statuses"):
        if len(getattr(request, field)) > MAX_PER_PAGE:
            raise InvalidRequest(f"{field} holds {len(getattr(request, field))} items; give at most {MAX_PER_PAGE}")
    return annotations.Wanted(
        ids=list(request.ids),
        input_ids=list(request.input_ids),
        user_ids=list(request.user_ids),
        statuses=[wanted.code for wanted in request.statuses],
        own=bool(request.list_all_annotations or request.ids or request.user_ids),
    )


def _find(connection: Connection, app: AppRow, input_id: str, id: str) -> AnnotationRow:
    if not id:
        raise InvalidRequest("annotation_id is empty; name the annotation")
    find_input(connection, app, input_id)
    row = annotations.find(connection, app.seq, input_id, id)
    if row is None:
        raise DoesNotExist(f"annotation {shown(id)!r} of input {shown(input_id)!r} does not exist")
    return row


def _answer(
    connection: Connection, app: AppRow, batch: Sequence[resources_pb2.Annotation], results: Sequence[Result]
) -> service_pb2.MultiAnnotationResponse:
    """Each item in its place: the annotation, or its ids with the error's status."""
    good = iter(_shown(connection, app, [result for result in results if isinstance(result, AnnotationRow)]))
    items = [
        resources_pb2.Annotation(id=sent.id, input_id=sent.input_id, status=status_of_error(result))
        if isinstance(result, LuthierError)
        else next(good)
        for sent, result in zip(batch, results, strict=True)
    ]
    return service_pb2.MultiAnnotationResponse(status=mixed_status(results), annotations=items)


def _shown(connection: Connection, app: AppRow, rows: Sequence[AnnotationRow]) -> list[resources_pb2.Annotation]:
    found = annotations.labels_of(connection, [row.seq for row in rows])
    return [_shown_one(app, row, found.get(row.seq, [])) for row in rows]


def _shown_one(app: AppRow, row: AnnotationRow, found: Sequence[annotations.Label]) -> resources_pb2.Annotation:
    annotation = resources_pb2.Annotation.FromString(row.message)
    annotation.id, annotation.input_id, annotation.user_id = row.id, row.input_id, row.user
    annotation.input_level = not annotation.data.regions
    annotation.data.concepts.extend(labels.shown_labels(found, app))
    annotation.status.CopyFrom(status(row.status))
    annotation.created_at.CopyFrom(timestamp(row.created_at))
    annotation.modified_at.CopyFrom(timestamp(row.modified_at))
    return annotation
