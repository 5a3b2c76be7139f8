"""Annotations: what people say of an input, as labels of the whole or of regions. Next: `annotation_message`.

The annotation that an input came with is its own: it has the input's id, is patched through PatchInputs too, and lists
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
from luthier.rpcs import annotation_patches, codes, labels, regions
from luthier.rpcs.annotation_message import FIELDS, MAX_MESSAGE_BYTES, check_kept, shown_annotations, status_of
from luthier.rpcs.annotation_patches import Change, Key, Patching
from luthier.rpcs.context import (
    MAX_PER_PAGE,
    Context,
    app_of,
    attempt,
    batch_of,
    mixed_status,
    page_of,
    status_of_error,
)
from luthier.rpcs.ids import new_id, plain_id
from luthier.rpcs.inputs import find_input
from luthier.rpcs.marked import keep_masks, with_spans_checked
from luthier.rpcs.patching import action_of, check, kept
from luthier.store import annotations, inputs
from luthier.store.annotations import AnnotationRow
from luthier.store.database import Connection
from luthier.store.inputs import InputRow
from luthier.store.resources import AppRow

_UNCHECKED, _GOOD = codes.INPUT_PENDING, codes.INPUT_GOOD
Result = AnnotationRow | LuthierError


def PostAnnotations(ctx: Context, request: service_pb2.PostAnnotationsRequest) -> service_pb2.MultiAnnotationResponse:
    """A bad item gets its own status and spoils no other. Files of masks go to disk first, then all rows at once."""
    batch = batch_of(request.annotations, "annotations")
    sent = attempt(batch, _New)
    sent = with_spans_checked(ctx, request.user_app_id, sent, lambda new: new.input_id, lambda new: new.regions)
    keep_masks(ctx, request.user_app_id, [new.regions for new in sent if isinstance(new, _New)])
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        results = _add(ctx, connection, app, _Adding(connection, app, sent).checked(sent))
    with ctx.database.read() as connection:  # others need not wait for the answer to be put together
        return _answer(ctx, connection, app, batch, results)


def GetAnnotation(ctx: Context, request: service_pb2.GetAnnotationRequest) -> service_pb2.SingleAnnotationResponse:
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        row = _find(connection, app, request.input_id, request.annotation_id)
        return service_pb2.SingleAnnotationResponse(
            annotation=shown_annotations(ctx, connection, app, [row], whole=True)[0]
        )


def ListAnnotations(ctx: Context, request: service_pb2.ListAnnotationsRequest) -> service_pb2.MultiAnnotationResponse:
    page, wanted = page_of(request), _wanted(request)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = annotations.page(connection, app.seq, page.offset, page.limit, wanted)
        return service_pb2.MultiAnnotationResponse(annotations=shown_annotations(ctx, connection, app, rows))


def PatchAnnotations(ctx: Context, request: service_pb2.PatchAnnotationsRequest) -> service_pb2.MultiAnnotationResponse:
    action, batch = action_of(request.action), batch_of(request.annotations, "annotations")
    changes = attempt(batch, annotation_patches.read)
    if action != "remove":
        changes = with_spans_checked(ctx, request.user_app_id, changes, lambda one: one.key[0], lambda one: one.regions)
        keep_masks(ctx, request.user_app_id, [change.regions for change in changes if isinstance(change, Change)])
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        results = _patch(connection, app, changes, action)
        answer = _answer(ctx, connection, app, batch, results)
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
    """An annotation that has passed every check that needs no database."""

    def __init__(self, sent: resources_pb2.Annotation) -> None:
        self.input_id = sent.input_id
        self.id = plain_id(sent.id, "annotations.id") if sent.id else new_id()
        self.labels = labels.labels_of(sent.data.concepts)
        self.regions = regions.read(sent.data.regions)
        self.status = status_of(sent)
        self.message = kept(sent, FIELDS)
        if sent.data.HasField("metadata"):
            self.message.data.metadata.CopyFrom(sent.data.metadata)
        check_kept(self.message)
        self.message.data.regions.extend(self.regions.regions)
        check(self.message, MAX_MESSAGE_BYTES)
        if not self.labels and not self.regions.regions:
            raise InvalidAnnotation("data holds no concepts and no regions; give at least one")

    @property
    def key(self) -> Key:
        return self.input_id, self.id


class _Adding:
    """What new annotations are held against: their inputs, and what others say of these."""

    def __init__(self, connection: Connection, app: AppRow, sent: Sequence[_New | LuthierError]) -> None:
        new = [one for one in sent if isinstance(one, _New)]
        self._rows = inputs.find_many(connection, app.seq, {one.input_id for one in new})
        self._known = annotations.all_labels(connection, [row.seq for row in self._rows.values()])
        there = annotations.find_pairs(connection, app.seq, sorted({one.key for one in new})) if new else []
        self._taken = {(row.input_id, row.id) for row in there}

    def checked(self, sent: Sequence[_New | LuthierError]) -> list[tuple[_New, InputRow] | LuthierError]:
        return attempt(sent, self._check)

    def _check(self, new: _New | LuthierError) -> tuple[_New, InputRow]:
        if isinstance(new, LuthierError):
            raise new
        row = self._rows.get(new.input_id)
        if row is None:
            raise InputDoesNotExist(f"input {shown(new.input_id)!r} does not exist in this app")
        if row.status not in (_UNCHECKED, _GOOD):
            problem = f"status {row.status}: {row.details}"
            raise InvalidAnnotation(f"input {shown(row.id)!r} is no good ({problem}); delete it")
        regions.check_fit(new.regions.regions, row.kind, row.width, row.height)
        if new.key in self._taken:
            raise DuplicateId(f"duplicate id: input {shown(row.id)!r} has an annotation {shown(new.id)!r} already")
        values = {id: label.value for id, label in new.labels.items()}
        labels.refuse_contradiction(self._known.get(row.seq, []), values)
        said = [annotations.Label(0, row.seq, id, id, value) for id, value in values.items()]
        self._taken.add(new.key)
        self._known[row.seq] = [*self._known.get(row.seq, []), *said]
        return new, row


def _add(
    ctx: Context, connection: Connection, app: AppRow, checked: Sequence[tuple[_New, InputRow] | LuthierError]
) -> list[Result]:
    good = [one for one in checked if not isinstance(one, LuthierError)]
    named = [new.labels for new, _ in good] + [regions.concepts_of(new.regions.regions) for new, _ in good]
    seqs = labels.concept_seqs(connection, app, named)
    rows = [
        annotations.NewAnnotation(
            input=row.seq,
            id=new.id,
            own=False,
            message=new.message.SerializeToString(),
            labels={seqs[id]: label.value for id, label in new.labels.items()},
            regions=regions.rows_of(new.regions.regions, seqs),
            status=new.status,
        )
        for new, row in good
    ]
    annotations.add(connection, app.seq, ctx.caller.user_id, codes.ANNOTATION_GOOD, rows)
    inputs.touch(connection, sorted({row.seq for _, row in good}))
    found = annotations.find_pairs(connection, app.seq, [new.key for new, _ in good]) if good else []
    made = {(row.input_id, row.id): row for row in found}
    return [one if isinstance(one, LuthierError) else made[one[0].key] for one in checked]


# -- patching and removing ---------------------------------------------------------------------------------------------


def _patch(connection: Connection, app: AppRow, changes: Sequence[Change | LuthierError], action: str) -> list[Result]:
    patching = Patching(connection, app, [one for one in changes if isinstance(one, Change)], action)

    def apply(change: Change | LuthierError) -> Key:
        if isinstance(change, LuthierError):
            raise change
        return patching.apply(change)

    results = attempt(changes, apply)
    rows = patching.finish()
    return [result if isinstance(result, LuthierError) else rows[result] for result in results]


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
    ctx: Context,
    connection: Connection,
    app: AppRow,
    batch: Sequence[resources_pb2.Annotation],
    results: Sequence[Result],
) -> service_pb2.MultiAnnotationResponse:
    """Each item in its place: the annotation, or its ids with the error's status."""
    rows = [result for result in results if isinstance(result, AnnotationRow)]
    good = iter(shown_annotations(ctx, connection, app, rows))
    items = [
        resources_pb2.Annotation(id=sent.id, input_id=sent.input_id, status=status_of_error(result))
        if isinstance(result, LuthierError)
        else next(good)
        for sent, result in zip(batch, results, strict=True)
    ]
    return service_pb2.MultiAnnotationResponse(status=mixed_status(results), annotations=items)
