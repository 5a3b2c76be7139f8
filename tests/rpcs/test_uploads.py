"""Uploads in parts: any order, resumed, sent twice; and what an import of one is told beforehand."""

import itertools
import random
from typing import Any

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from sqlalchemy import select

from luthier.errors import (
    DiskFull,
    DoesNotExist,
    DuplicateId,
    InvalidRequest,
    JobConflict,
    LuthierError,
    NotServed,
    UploadConflict,
    UploadExpired,
    UploadFailed,
    UploadInProgress,
)
from luthier.rpcs.add_jobs import CancelInputsAddJob, GetInputsAddJob
from luthier.rpcs.context import Context
from luthier.rpcs.datasets import PostDatasets
from luthier.rpcs.imports import (
    CancelInputsExtractionJobs,
    GetInputsExtractionJob,
    ImportUpload,
    ListImportItems,
    ListInputsExtractionJobs,
    PostInputsDataSources,
    PostInputsUploads,
)
from luthier.rpcs.uploads import DeleteUploads, GetUpload, ListUploads, PostUploads, PutUploadContentParts
from luthier.store import imports, jobs, tables, uploads
from luthier.store.imports import Item
from luthier.store.upload_files import UploadFiles
from luthier.wire import luthier_pb2

InApp = resources_pb2.UserAppIDSet
BYTES = bytes(random.Random(0).randbytes(1000))


def announce(ctx: Context, in_app: InApp, length: int = len(BYTES), id: str = "u", **more: Any) -> resources_pb2.Upload:
    sent = {"id": id, "content_name": "data.zip", "content_length": length, **more}
    answer = PostUploads(ctx, service_pb2.PostUploadsRequest(user_app_id=in_app, uploads=[sent]))
    return answer.uploads[0]


def put(ctx: Context, in_app: InApp, *pieces: tuple[int, bytes], id: str = "u") -> resources_pb2.Upload:
    parts = [resources_pb2.UploadContentPart(range_start=start, data=data) for start, data in pieces]
    request = service_pb2.PutUploadContentPartsRequest(user_app_id=in_app, upload_id=id, content_parts=parts)
    return PutUploadContentParts(ctx, request).upload


def got(ctx: Context, in_app: InApp, id: str = "u") -> resources_pb2.Upload:
    return GetUpload(ctx, service_pb2.GetUploadRequest(user_app_id=in_app, upload_id=id)).upload


def seq_of(ctx: Context, id: str = "u") -> int:
    with ctx.database.read() as connection:
        return int(connection.execute(select(tables.uploads.c.seq).where(tables.uploads.c.id == id)).scalar_one())


def bytes_of(ctx: Context, id: str = "u") -> bytes:
    """As an import reads them: compared with what arrived."""
    seq = seq_of(ctx, id)
    with ctx.database.read() as connection:
        parts = uploads.parts(connection, seq)
    return UploadFiles(ctx.settings).verify(seq, parts).read_bytes()


def test_parts_in_any_order_make_the_file(ctx: Context, in_app: InApp) -> None:
    made = announce(ctx, in_app)
    assert (made.status.code, made.content_name, made.content_length) == (68000, "data.zip", 1000)
    assert made.expires_at.seconds - made.created_at.seconds == 7 * 86_400
    edges = [0, 1, 300, 301, 777, 1000]
    pieces = [(start, BYTES[start:end]) for start, end in itertools.pairwise(edges)]
    random.Random(1).shuffle(pieces)
    for piece in pieces[:-1]:
        assert put(ctx, in_app, piece).status.code == 68000
    assert put(ctx, in_app, pieces[-1]).status.code == 68001
    assert bytes_of(ctx) == BYTES and got(ctx, in_app).status.code == 68001


def test_an_interrupted_upload_goes_on_where_it_says(ctx: Context, in_app: InApp) -> None:
    announce(ctx, in_app)
    put(ctx, in_app, (0, BYTES[:100]), (500, BYTES[500:600]))
    said = got(ctx, in_app).status.details
    assert said == "200 of 1000 bytes are here; go on from byte 100"
    put(ctx, in_app, (100, BYTES[100:500]))
    assert got(ctx, in_app).status.details.endswith("go on from byte 600")
    assert put(ctx, in_app, (600, BYTES[600:])).status.code == 68001
    assert bytes_of(ctx) == BYTES


def test_p20_a_part_sent_again_changes_nothing(ctx: Context, in_app: InApp) -> None:
    announce(ctx, in_app)
    for _ in range(3):
        put(ctx, in_app, (0, BYTES[:500]))
    put(ctx, in_app, (500, BYTES[500:]), (0, BYTES[:500]))
    assert put(ctx, in_app, (0, BYTES[:500])).status.code == 68001
    assert bytes_of(ctx) == BYTES


@pytest.mark.parametrize(
    "piece",
    [(0, b"x" * 500), (0, BYTES[:499]), (100, BYTES[100:200]), (499, BYTES[499:600])],
    ids=["other bytes", "shorter", "inside", "across"],
)
def test_a_part_that_overlaps_another_is_refused_and_changes_nothing(
    ctx: Context, in_app: InApp, piece: tuple[int, bytes]
) -> None:
    announce(ctx, in_app)
    put(ctx, in_app, (0, BYTES[:500]))
    with pytest.raises(UploadConflict, match="overlap bytes 0 to 499"):
        put(ctx, in_app, (700, BYTES[700:]), piece)
    put(ctx, in_app, (500, BYTES[500:]))
    assert bytes_of(ctx) == BYTES


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ([], "content_parts holds 0 items"),
        ([(0, b"")], "holds no bytes"),
        ([(0, b"x" * 1001)], "ends behind the file, whose content_length is 1000"),
        ([(1000, b"x")], "ends behind the file"),
        ([(2**64 - 1, b"x")], "ends behind the file"),
        ([(number, b"x") for number in range(129)], "content_parts holds 129 items"),
    ],
)
def test_parts_that_make_no_sense(ctx: Context, in_app: InApp, pieces: list[tuple[int, bytes]], says: str) -> None:
    announce(ctx, in_app)
    with pytest.raises(InvalidRequest, match=says):
        put(ctx, in_app, *pieces)
    assert got(ctx, in_app).status.details.startswith("0 of 1000")


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"content_length": 0}, "content_length is 0; give the file's size"),
        ({"content_length": 2**63}, r"content_length is 9223372036854775808; give the file's size, 1 to 21474836480"),
        ({"content_name": " "}, "content_name is ' '; give the file's name"),
        ({"content_name": "x" * 256}, "of at most 255 characters"),
        ({"content_url": "http://127.0.0.1/x"}, "content_url is not served"),
        ({"id": "../x"}, "an id begins with a letter or digit"),
    ],
)
def test_uploads_that_make_no_sense(ctx: Context, in_app: InApp, sent: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        announce(ctx, in_app, **{"length": 5, **sent} if "content_length" not in sent else sent)


def test_an_id_is_taken_once(ctx: Context, in_app: InApp) -> None:
    announce(ctx, in_app)
    with pytest.raises(DuplicateId, match="one of the uploads u"):
        announce(ctx, in_app)
    assert announce(ctx, in_app, id="").id != announce(ctx, in_app, id="").id


def test_the_disk_keeps_its_reserve(ctx: Context, in_app: InApp, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(ctx, in_app)
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage())
    with pytest.raises(DiskFull, match="kept in reserve"):
        put(ctx, in_app, (0, BYTES))
    assert got(ctx, in_app).status.details.startswith("0 of 1000")


class _Usage:
    free = 100


def test_lists_and_deletes(ctx: Context, in_app: InApp) -> None:
    for id in ("a", "b", "c"):
        announce(ctx, in_app, id=id)
    put(ctx, in_app, (0, BYTES), id="b")
    listed = ListUploads(ctx, service_pb2.ListUploadsRequest(user_app_id=in_app, page=1, per_page=2)).uploads
    assert [(upload.id, upload.status.code) for upload in listed] == [("a", 68000), ("b", 68001)]
    file = UploadFiles(ctx.settings).path(seq_of(ctx, "b"))
    assert file.exists()
    DeleteUploads(ctx, service_pb2.DeleteUploadsRequest(user_app_id=in_app, ids=["b", "unknown"]))
    assert not file.exists()
    for call in (
        lambda: got(ctx, in_app, "b"),
        lambda: put(ctx, in_app, (0, b"x"), id="b"),
        lambda: got(ctx, in_app, "z"),
    ):
        with pytest.raises(DoesNotExist):
            call()
    with pytest.raises(DoesNotExist):
        DeleteUploads(ctx, service_pb2.DeleteUploadsRequest(user_app_id=in_app, ids=["b"]))
    with pytest.raises(InvalidRequest, match="give 1 to 128"):
        DeleteUploads(ctx, service_pb2.DeleteUploadsRequest(user_app_id=in_app))


def test_bytes_that_changed_on_disk_are_found_out(ctx: Context, in_app: InApp) -> None:
    announce(ctx, in_app)
    put(ctx, in_app, (0, BYTES[:500]), (500, BYTES[500:]))
    file = UploadFiles(ctx.settings).path(seq_of(ctx))
    file.write_bytes(BYTES[:999] + bytes([BYTES[999] ^ 1]))
    with pytest.raises(UploadFailed, match="bytes 500 to 999 are not what arrived"):
        bytes_of(ctx)
    file.unlink()
    with pytest.raises(UploadFailed, match="not there any more"):
        bytes_of(ctx)


# -- imports -----------------------------------------------------------------------------------------------------------


def whole(ctx: Context, in_app: InApp, id: str = "u") -> None:
    announce(ctx, in_app, id=id)
    put(ctx, in_app, (0, BYTES), id=id)


def start(ctx: Context, in_app: InApp, *sent: dict[str, Any]) -> list[resources_pb2.InputsAddJob]:
    uploads_sent = [resources_pb2.InputsUpload(**one) for one in sent]
    request = service_pb2.PostInputsUploadsRequest(user_app_id=in_app, inputs_uploads=uploads_sent)
    return list(PostInputsUploads(ctx, request).inputs_add_jobs)


def queued(ctx: Context) -> list[dict[str, Any]]:
    with ctx.database.read() as connection:
        rows = connection.execute(select(tables.jobs).where(tables.jobs.c.kind == "import")).mappings()
        return [dict(row) for row in rows]


def test_an_import_waits_and_says_so(ctx: Context, in_app: InApp) -> None:
    whole(ctx, in_app)
    (job,) = start(ctx, in_app, {"inputs_add_job_id": "j", "upload": {"id": "u"}})
    assert (job.id, job.status.code, job.progress.pending_count) == ("j", 64001, 1)
    assert job.extraction_jobs[0].status.code == 64000
    assert len(queued(ctx)) == 1
    again = start(ctx, in_app, {"inputs_add_job_id": "j", "upload": {"id": "u"}})
    assert again[0].extraction_jobs == job.extraction_jobs and len(queued(ctx)) == 1
    listed = ListInputsExtractionJobs(ctx, service_pb2.ListInputsExtractionJobsRequest(user_app_id=in_app))
    assert list(listed.inputs_extraction_jobs) == list(job.extraction_jobs)
    assert listed.inputs_extraction_jobs[0].progress.pending_archives_count == 1


def test_items_are_counted_and_listed(ctx: Context, in_app: InApp) -> None:
    whole(ctx, in_app)
    (job,) = start(ctx, in_app, {"inputs_add_job_id": "j", "upload": {"id": "u"}})
    items = [Item(1, "a.jpg", "a", 30000, ""), Item(2, "b.txt", "", 30101, "a text"), Item(3, "c.jpg", "c", 30000, "")]
    with ctx.database.write() as connection:
        one = imports.find(connection, 1, job.extraction_jobs[0].id)
        assert one is not None and imports.begin(connection, one.seq)
        imports.found_items(connection, one.seq, 4)
        imports.add_items(connection, one.seq, items, made=0, present=2)

    def progress() -> tuple[int, ...]:
        answer = GetInputsAddJob(ctx, service_pb2.GetInputsAddJobRequest(user_app_id=in_app, id="j")).inputs_add_job
        counts = answer.progress
        return (answer.status.code, counts.in_progress_count, counts.success_count, counts.failed_count)

    assert progress() == (64001, 1, 2, 1)
    with ctx.database.write() as connection:
        imports.add_items(connection, one.seq, [Item(4, "d.jpg", "", 30300, "empty")], made=0, present=0)
        imports.done(connection, one.seq)
    assert progress() == (64002, 0, 2, 2)

    def listed(**more: Any) -> list[tuple[int, str, str, int, str]]:
        request = luthier_pb2.ListImportItemsRequest(user_app_id=in_app, inputs_add_job_id="j", **more)
        found = ListImportItems(ctx, request).items
        return [(item.number, item.name, item.input_id, item.status.code, item.status.details) for item in found]

    assert listed() == [(i.number, i.name, i.input_id, i.status, i.details) for i in items] + [
        (4, "d.jpg", "", 30300, "empty")
    ]
    assert [item[0] for item in listed(rejected_only=True)] == [2, 4]
    assert [item[0] for item in listed(page=2, per_page=3)] == [4]


def test_an_archive_that_cannot_be_unpacked_fails_its_job(ctx: Context, in_app: InApp) -> None:
    whole(ctx, in_app)
    (job,) = start(ctx, in_app, {"inputs_add_job_id": "j", "upload": {"id": "u"}})
    with ctx.database.write() as connection:
        one = imports.find(connection, 1, job.extraction_jobs[0].id)
        assert one is not None
        imports.failed(connection, one.seq, "entry '../x': no", imports.Status.NOT_UNPACKED)
    shown = GetInputsAddJob(ctx, service_pb2.GetInputsAddJobRequest(user_app_id=in_app, id="j")).inputs_add_job
    assert (shown.status.code, shown.status.details) == (64003, "67000 entry '../x': no")
    assert shown.extraction_jobs[0].status.code == 67000
    assert shown.progress.pending_count == shown.progress.in_progress_count == 0


def test_cancelling(ctx: Context, in_app: InApp) -> None:
    for id in ("u", "v"):
        whole(ctx, in_app, id)
        start(ctx, in_app, {"inputs_add_job_id": f"j-{id}", "upload": {"id": id}})
    answer = CancelInputsAddJob(ctx, service_pb2.CancelInputsAddJobRequest(user_app_id=in_app, id="j-u")).inputs_add_job
    assert (answer.status.code, answer.status.details) == (64004, "cancelled by ann")
    rows = ListInputsExtractionJobs(ctx, service_pb2.ListInputsExtractionJobsRequest(user_app_id=in_app))
    other = rows.inputs_extraction_jobs[1].id
    request = service_pb2.CancelInputsExtractionJobsRequest(user_app_id=in_app, ids=[other])
    assert CancelInputsExtractionJobs(ctx, request).inputs_extraction_jobs[0].status.code == 64004
    assert CancelInputsExtractionJobs(ctx, request).inputs_extraction_jobs[0].status.code == 64004  # I7: no change
    assert {row["state"] for row in queued(ctx)} == {jobs.State.CANCELLED}
    found = GetInputsExtractionJob(
        ctx, service_pb2.GetInputsExtractionJobRequest(user_app_id=in_app, inputs_extraction_job_id=other)
    )
    assert found.inputs_extraction_job.status.details == "cancelled by ann"


def test_what_every_input_gets_is_kept_for_the_worker(ctx: Context, in_app: InApp) -> None:
    whole(ctx, in_app)
    PostDatasets(ctx, service_pb2.PostDatasetsRequest(user_app_id=in_app, datasets=[resources_pb2.Dataset(id="d")]))
    template = resources_pb2.Input(dataset_ids=["d", "d"])
    template.data.concepts.add(id="Äpfel", value=1)
    template.data.metadata.update({"site": "north", "deep": {"n": 1}})
    request = luthier_pb2.ImportUploadRequest(
        user_app_id=in_app,
        upload_id="u",
        input_template=template,
        columns={"image": "file"},
        keep_good=True,
        input_id_conflict_resolution=resources_pb2.SKIP,
    )
    job = ImportUpload(ctx, request).inputs_add_job
    with ctx.database.read() as connection:
        one = imports.find(connection, 1, job.extraction_jobs[0].id)
    assert one is not None
    assert one.request == imports.Request(
        content_name="data.zip",
        dataset_ids=("d",),
        labels={"Äpfel": ("Äpfel", 1)},
        metadata={"site": "north", "deep": {"n": 1.0}},
        columns={"image": "file"},
        keep_good=True,
        skip=True,
    )


@pytest.mark.parametrize(
    ("sent", "kind", "says"),
    [
        ({}, InvalidRequest, "upload.id is empty"),
        ({"upload": {"id": "none"}}, DoesNotExist, "upload 'none' does not exist"),
        ({"upload": {"id": "half"}}, UploadInProgress, "500 of 1000 bytes are here; go on from byte 500"),
        ({"upload": {"id": "old"}}, UploadExpired, "its time was over"),
        ({"upload": {"id": "u"}, "input_id_conflict_resolution": 2}, InvalidRequest, "SUFFIX is not served"),
        ({"upload": {"id": "u"}, "input_template": {"id": "x"}}, InvalidRequest, "input_template holds an id"),
        (
            {"upload": {"id": "u"}, "input_template": {"data": {"image": {"url": "u"}}}},
            InvalidRequest,
            "holds data.image",
        ),
        ({"upload": {"id": "u"}, "input_template": {"dataset_ids": ["no"]}}, DoesNotExist, "dataset 'no' does not"),
        ({"upload": {"id": "u"}, "input_template": {"data": {"concepts": [{"id": "a/b"}]}}}, InvalidRequest, "a/b"),
        ({"upload": {"id": "u"}, "inputs_add_job_id": "a b"}, InvalidRequest, "inputs_add_job_id is 'a b'"),
    ],
)
def test_what_cannot_be_imported_is_said_at_once(
    ctx: Context, in_app: InApp, sent: dict[str, Any], kind: type[LuthierError], says: str
) -> None:
    whole(ctx, in_app)
    announce(ctx, in_app, id="half")
    put(ctx, in_app, (0, BYTES[:500]), id="half")
    announce(ctx, in_app, id="old")
    with ctx.database.write() as connection:
        uploads.expire(connection, uploads.expired(connection, 1e12)[2:])
    with pytest.raises(kind, match=says):
        start(ctx, in_app, sent)
    assert not queued(ctx)


def test_an_upload_that_an_import_waits_for_stays(ctx: Context, in_app: InApp) -> None:
    whole(ctx, in_app)
    start(ctx, in_app, {"inputs_add_job_id": "j", "upload": {"id": "u"}})
    with pytest.raises(JobConflict, match="inputs are being made of u"):
        DeleteUploads(ctx, service_pb2.DeleteUploadsRequest(user_app_id=in_app, ids=["u"]))
    with ctx.database.read() as connection:
        assert uploads.expired(connection, 1e12) == []
    CancelInputsAddJob(ctx, service_pb2.CancelInputsAddJobRequest(user_app_id=in_app, id="j"))
    with ctx.database.read() as connection:
        assert uploads.expired(connection, 1e12) == [seq_of(ctx)]
    DeleteUploads(ctx, service_pb2.DeleteUploadsRequest(user_app_id=in_app, ids=["u"]))


def test_cloud_storage_is_not_served(ctx: Context, in_app: InApp) -> None:
    with pytest.raises(NotServed, match="cloud storage is not read; pack the files"):
        PostInputsDataSources(ctx, service_pb2.PostInputsDataSourcesRequest(user_app_id=in_app))
