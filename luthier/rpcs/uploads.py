"""Files that arrive in parts and can be resumed: archives and tables. Next: `imports`, which makes inputs of them.

1. PostUploads announces name and length. 2. PutUploadContentParts brings bytes, in any order, a part again if need be.
3. PostInputsUploads. GetUpload tells from which byte to go on.
"""

import hashlib
from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import DoesNotExist, InvalidRequest, JobConflict, UploadConflict, UploadExpired, shown
from luthier.rpcs.context import MAX_BATCH, Context, app_of, batch_of, page_of, status, timestamp
from luthier.rpcs.ids import new_id, plain_id
from luthier.store import uploads
from luthier.store.database import Connection
from luthier.store.resources import AppRow
from luthier.store.upload_files import UploadFiles
from luthier.store.uploads import NewUpload, Part, UploadRow

LONGEST_NAME = 255
MOST_PARTS = 10_000  # of one upload
Piece = tuple[int, bytes]  # where it begins, bytes


def PostUploads(ctx: Context, request: service_pb2.PostUploadsRequest) -> service_pb2.MultiUploadResponse:
    """All or none. An id that is there is refused, so that two files never mix."""
    new = [_checked(ctx, upload) for upload in batch_of(request.uploads, "uploads")]
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        made = uploads.add(connection, app.seq, new, ctx.settings.upload_days)
    return service_pb2.MultiUploadResponse(uploads=[shown_upload(row) for row in made])


def PutUploadContentParts(
    ctx: Context, request: service_pb2.PutUploadContentPartsRequest
) -> service_pb2.SingleUploadResponse:
    """What it answers is on disk. The same part again changes nothing; other bytes in its place are 68006.

    The parts of one call are kept all or none. `range_start` places a part; `part_number` is not needed.
    """
    with ctx.database.read() as connection:
        row = _found(connection, app_of(ctx, connection, request.user_app_id), request.upload_id)
        new = _new_pieces(row, uploads.parts(connection, row.seq), _pieces(row, request.content_parts))
    written = UploadFiles(ctx.settings).write(row.seq, new) if new else []
    with ctx.database.write() as connection:
        row = _found(connection, app_of(ctx, connection, request.user_app_id), request.upload_id)
        known = uploads.parts(connection, row.seq)
        row = uploads.add_parts(connection, row.seq, [part for part in written if _is_new(part, known)])
        return service_pb2.SingleUploadResponse(upload=shown_upload(row, uploads.parts(connection, row.seq)))


def GetUpload(ctx: Context, request: service_pb2.GetUploadRequest) -> service_pb2.SingleUploadResponse:
    with ctx.database.read() as connection:
        row = _found(connection, app_of(ctx, connection, request.user_app_id), request.upload_id)
        return service_pb2.SingleUploadResponse(upload=shown_upload(row, uploads.parts(connection, row.seq)))


def ListUploads(ctx: Context, request: service_pb2.ListUploadsRequest) -> service_pb2.MultiUploadResponse:
    page = page_of(request)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = uploads.page(connection, app.seq, page.offset, page.limit)
    return service_pb2.MultiUploadResponse(uploads=[shown_upload(row) for row in rows])


def DeleteUploads(ctx: Context, request: service_pb2.DeleteUploadsRequest) -> status_pb2.BaseResponse:
    """Those of the ids that are there, with their bytes. What was made of them stays."""
    if not 1 <= len(request.ids) <= MAX_BATCH:
        raise InvalidRequest(f"ids holds {len(request.ids)} ids; give 1 to {MAX_BATCH}")
    with ctx.database.write() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = uploads.find_many(connection, app.seq, list(request.ids))
        if not rows:
            raise DoesNotExist(f"none of these uploads is in this app: {', '.join(map(shown, request.ids[:10]))}")
        seqs = [row.seq for row in rows.values()]
        if waited_for := uploads.waited_for(connection, seqs):
            names = ", ".join(row.id for row in rows.values() if row.seq in waited_for)
            raise JobConflict(f"inputs are being made of {names}; wait for that, or cancel the inputs add job first")
        uploads.remove(connection, seqs)
    UploadFiles(ctx.settings).remove(seqs)
    return status_pb2.BaseResponse()


def shown_upload(row: UploadRow, parts: Sequence[Part] | None = None) -> resources_pb2.Upload:
    """`parts` say where to go on; lists do without."""
    details = row.details
    if row.status == uploads.Status.IN_PROGRESS:
        details = f"{row.received} of {row.content_length} bytes are here"
        details += f"; go on from byte {uploads.first_gap(parts)}" if parts is not None else ""
    upload = resources_pb2.Upload(
        id=row.id,
        content_name=row.content_name,
        content_length=row.content_length,
        status=status(row.status, details=details),
    )
    for field, seconds in (
        (upload.created_at, row.created_at),
        (upload.modified_at, row.modified_at),
        (upload.expires_at, row.expires_at),
    ):
        field.CopyFrom(timestamp(seconds))
    return upload


def _checked(ctx: Context, sent: resources_pb2.Upload) -> NewUpload:
    most = ctx.settings.max_upload_mb * 2**20
    name = sent.content_name.strip()
    if sent.content_url:
        raise InvalidRequest("uploads.content_url is not served; announce content_length and send content_parts")
    if not name or len(name) > LONGEST_NAME:
        raise InvalidRequest(
            f"uploads.content_name is '{shown(sent.content_name)}'; give the file's name, data.zip for one, of at most "
            f"{LONGEST_NAME} characters"
        )
    if not 1 <= sent.content_length <= most:
        raise InvalidRequest(
            f"uploads.content_length is {sent.content_length}; give the file's size, 1 to {most} bytes "
            "(setting max_upload_mb)"
        )
    return NewUpload(plain_id(sent.id, "uploads.id") if sent.id else new_id(), name, sent.content_length)


def _found(connection: Connection, app: AppRow, id: str) -> UploadRow:
    if not id:
        raise InvalidRequest("upload_id is empty; name the upload")
    row = uploads.find(connection, app.seq, id)
    if row is None:
        raise DoesNotExist(f"upload '{shown(id)}' does not exist in this app")
    return row


def _pieces(row: UploadRow, sent: Sequence[resources_pb2.UploadContentPart]) -> list[Piece]:
    """In the order of the file; raises for what is empty or lies outside of it."""
    pieces = sorted((part.range_start, part.data) for part in batch_of(sent, "content_parts"))
    for start, data in pieces:
        if not data:
            raise InvalidRequest(f"content_parts: the part at range_start {start} holds no bytes")
        if start + len(data) > row.content_length:
            raise InvalidRequest(
                f"content_parts: the part at range_start {start} has {len(data)} bytes and ends behind the file, whose "
                f"content_length is {row.content_length}"
            )
    return pieces


def _new_pieces(row: UploadRow, known: Sequence[Part], pieces: Sequence[Piece]) -> list[Piece]:
    """Those that are not here yet; raises UploadConflict for one that overlaps another or has other bytes."""
    if row.gone:
        raise UploadExpired(f"upload {row.id}: {row.details}; begin a new upload")
    if len(known) + len(pieces) > MOST_PARTS:
        raise InvalidRequest(f"an upload takes at most {MOST_PARTS} parts, {len(known)} are here; send larger ones")
    seen, new = list(known), []
    for start, data in pieces:
        part = Part(start, len(data), hashlib.sha256(data).hexdigest())
        if _is_new(part, seen):
            seen.append(part)
            new.append((start, data))
    return new


def _is_new(part: Part, known: Sequence[Part]) -> bool:
    for other in known:
        if other == part:
            return False
        if other.range_start < part.end and part.range_start < other.end:
            raise UploadConflict(
                f"bytes {part.range_start} to {part.end - 1} overlap bytes {other.range_start} to {other.end - 1}, "
                "which are here and differ; send the same parts again, or begin a new upload"
            )
    return True
