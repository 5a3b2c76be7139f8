"""Exports of dataset versions, as calls ask for them and after them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import DoesNotExist, InvalidRequest
from luthier.rpcs.context import Context
from luthier.rpcs.dataset_exports import PutDatasetVersionExports
from luthier.rpcs.dataset_versions import ListDatasetVersions
from luthier.store import exports, jobs
from luthier.store.secrets import check_export_signature
from tests.rpcs.test_datasets import App, Dataset, Version, delete_version, freeze, make, make_ready, read

Export = resources_pb2.DatasetVersionExport
PROTOBUF, COCO, JSON = 1, 2, 3


@pytest.fixture(autouse=True)
def ready(ctx: Context, in_app: App) -> None:
    make(ctx, in_app, Dataset(id="all"))
    freeze(ctx, in_app, Version(id="v1"))
    assert jobs.claim(ctx.database, "w", "data")  # its snapshot
    make_ready(ctx, "v1")


def put(ctx: Context, in_app: App, *wanted: Export | int, version: str = "v1") -> list[Export]:
    sent = [Export(format=one) if isinstance(one, int) else one for one in wanted]
    request = service_pb2.PutDatasetVersionExportsRequest(
        user_app_id=in_app, dataset_id="all", dataset_version_id=version, exports=sent
    )
    return list(PutDatasetVersionExports(ctx, request).exports)


def claimed(ctx: Context) -> list[int]:
    found = []
    while job := jobs.claim(ctx.database, "w", "data"):
        assert job.kind == "export" and job.subject
        found.append(job.subject)
    return found


def finish(ctx: Context, seq: int) -> str:
    """What the worker does; the export's id."""
    with ctx.database.write() as connection:
        assert exports.begin(connection, seq) and exports.done(connection, seq, "a" * 64, 12345, "1 left out")
        found = exports.by_seq(connection, seq)
    assert found
    return found.id


def test_an_export_is_pending_then_done_with_its_address(ctx: Context, in_app: App) -> None:
    (asked,) = put(ctx, in_app, PROTOBUF)
    assert (asked.format, asked.status.code, asked.url, asked.size) == (PROTOBUF, 64201, "", 0)
    (seq,) = claimed(ctx)
    with ctx.database.write() as connection:
        exports.begin(connection, seq)
    assert put(ctx, in_app, PROTOBUF)[0].status.code == 64203
    id = finish(ctx, seq)
    (done,) = put(ctx, in_app, PROTOBUF)
    assert (done.status.code, done.size, done.status.details) == (64200, 12345, "1 left out")
    base, _, signature = done.url.partition("?sig=")
    assert base == f"{ctx.settings.base_url}/luthier/v1/exports/{id}"
    assert check_export_signature(ctx.settings, id, signature)
    assert claimed(ctx) == []


def test_each_format_is_an_export_of_its_own_and_the_version_tells_them(ctx: Context, in_app: App) -> None:
    assert not read(ctx, in_app, "v1").HasField("export_info")
    both = put(ctx, in_app, JSON, COCO)
    assert [one.format for one in both] == [JSON, COCO]
    first, _ = claimed(ctx)
    finish(ctx, first)
    info = read(ctx, in_app, "v1").export_info
    assert (info.clarifai_data_json.status.code, info.coco.status.code) == (64200, 64201)
    assert info.clarifai_data_json.url and not info.HasField("clarifai_data_protobuf")
    listing = service_pb2.ListDatasetVersionsRequest(user_app_id=in_app, dataset_id="all")
    assert ListDatasetVersions(ctx, listing).dataset_versions[0].export_info == info


def test_bad_I17_the_same_export_at_once_is_one_job(ctx: Context, in_app: App) -> None:
    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(lambda _: put(ctx, in_app, PROTOBUF)[0].status.code, range(12)))
    assert codes == [64201] * 12
    assert len(claimed(ctx)) == 1


def test_a_failure_is_told_once_and_asking_again_begins_anew(ctx: Context, in_app: App) -> None:
    put(ctx, in_app, COCO)
    (seq,) = claimed(ctx)
    with ctx.database.write() as connection:
        exports.failed(connection, seq, "COCO cannot hold texts")
    (failed,) = put(ctx, in_app, COCO)
    assert (failed.status.code, failed.status.details) == (64202, "COCO cannot hold texts")
    assert put(ctx, in_app, COCO)[0].status.code == 64201
    assert len(claimed(ctx)) == 1


def test_deleting_a_version_cancels_its_exports(ctx: Context, in_app: App) -> None:
    put(ctx, in_app, PROTOBUF, JSON)
    delete_version(ctx, in_app, "v1")
    assert claimed(ctx) == []


@pytest.mark.parametrize("sent", [0, 4, -1, Export(format=PROTOBUF, include_embeddings=True)])
def test_exports_that_are_refused(ctx: Context, in_app: App, sent: Export | int) -> None:
    with pytest.raises(InvalidRequest, match=r"exports\."):
        put(ctx, in_app, PROTOBUF, sent)
    assert claimed(ctx) == []


def test_bad_C20_exports_of_nothing(ctx: Context, in_app: App) -> None:
    with pytest.raises(InvalidRequest):
        put(ctx, in_app)
    with pytest.raises(DoesNotExist):
        put(ctx, in_app, PROTOBUF, version="v2")
