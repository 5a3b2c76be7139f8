"""Datasets, what is in them, and their versions."""

import dataclasses
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value
from sqlalchemy import select

from luthier.errors import DatasetVersionConflict, DoesNotExist, DuplicateId, InvalidRequest
from luthier.rpcs.apps import PostApps
from luthier.rpcs.context import Context
from luthier.rpcs.dataset_inputs import DeleteDatasetInputs, GetDatasetInput, ListDatasetInputs, PostDatasetInputs
from luthier.rpcs.dataset_versions import (
    DeleteDatasetVersions,
    GetDatasetVersion,
    ListDatasetVersionMetricsGroups,
    ListDatasetVersions,
    PatchDatasetVersions,
    PostDatasetVersions,
)
from luthier.rpcs.datasets import DeleteDatasets, GetDataset, ListDatasets, PatchDatasets, PostDatasets
from luthier.rpcs.inputs import DeleteInput
from luthier.store import jobs, resources, snapshots, tables, versions
from tests.rpcs.pictures import picture
from tests.rpcs.test_inputs import item, members, post

App = resources_pb2.UserAppIDSet
Dataset = resources_pb2.Dataset
Version = resources_pb2.DatasetVersion
COUNTS = {
    "inputs": 3,
    "unlabeled_inputs": 1,
    "positive_tags": 2,
    "per_concept": {"cat": {"positive": 2, "negative": 0}, "dog": {"positive": 0, "negative": 1}},
    "splits": {"train": 2, "val": 1, "test": 0},
    "invalid": 0,
}


@pytest.fixture(autouse=True)
def dataset(ctx: Context, in_app: App) -> None:
    make(ctx, in_app, Dataset(id="all", description="everything"))


def make(ctx: Context, in_app: App, *datasets: Dataset) -> list[Dataset]:
    return list(PostDatasets(ctx, service_pb2.PostDatasetsRequest(user_app_id=in_app, datasets=datasets)).datasets)


def get(ctx: Context, in_app: App, id: str = "all") -> Dataset:
    return GetDataset(ctx, service_pb2.GetDatasetRequest(user_app_id=in_app, dataset_id=id)).dataset


def listed(ctx: Context, in_app: App, **request: object) -> list[str]:
    return [d.id for d in ListDatasets(ctx, service_pb2.ListDatasetsRequest(user_app_id=in_app, **request)).datasets]


def put_in(ctx: Context, in_app: App, *ids: str, dataset: str = "all") -> service_pb2.MultiDatasetInputResponse:
    items = [resources_pb2.DatasetInput(input=resources_pb2.Input(id=id)) for id in ids]
    request = service_pb2.PostDatasetInputsRequest(user_app_id=in_app, dataset_id=dataset, dataset_inputs=items)
    return PostDatasetInputs(ctx, request)


def freeze(ctx: Context, in_app: App, *wanted: Version, dataset: str = "all") -> list[Version]:
    request = service_pb2.PostDatasetVersionsRequest(user_app_id=in_app, dataset_id=dataset, dataset_versions=wanted)
    return list(PostDatasetVersions(ctx, request).dataset_versions)


def version_with(split: object, id: str = "") -> Version:
    return ParseDict({"id": id, "metadata": {"split": split}}, Version())


def read(ctx: Context, in_app: App, id: str) -> Version:
    request = service_pb2.GetDatasetVersionRequest(user_app_id=in_app, dataset_id="all", dataset_version_id=id)
    return GetDatasetVersion(ctx, request).dataset_version


def delete_version(ctx: Context, in_app: App, *ids: str) -> None:
    request = service_pb2.DeleteDatasetVersionsRequest(user_app_id=in_app, dataset_id="all", dataset_version_ids=ids)
    DeleteDatasetVersions(ctx, request)


def metrics(
    ctx: Context, in_app: App, id: str, **wanted: object
) -> service_pb2.MultiDatasetVersionMetricsGroupResponse:
    request = service_pb2.ListDatasetVersionMetricsGroupsRequest(
        user_app_id=in_app, dataset_id="all", dataset_version_id=id, **wanted
    )
    return ListDatasetVersionMetricsGroups(ctx, request)


def seq_of(ctx: Context, id: str) -> int:
    with ctx.database.read() as connection:
        table = tables.dataset_versions
        return int(connection.execute(select(table.c.seq).where(table.c.id == id)).scalar_one())


def make_ready(ctx: Context, id: str, counts: Mapping[str, object] = COUNTS) -> None:
    """What the worker does at the end of a snapshot."""
    with ctx.database.write() as connection:
        assert snapshots.begin(connection, seq_of(ctx, id))
        assert snapshots.ready(connection, seq_of(ctx, id), "0" * 64, dict(counts))


def train_on(ctx: Context, in_app: App, id: str) -> int:
    """A queued training that names the dataset version."""
    with ctx.database.write() as connection:
        app = resources.find_app(connection, "ann", "pets")
        assert app
        row = {"app": app.seq, "id": "m", "model_type": "visual-classifier", "message": b"", "created_at": 0}
        model = connection.execute(tables.models.insert().values(**row, modified_at=0)).inserted_primary_key[0]
        status, dataset_version = versions.Status.QUEUED, seq_of(ctx, id)
        seq = versions.create(connection, model, "v" * 32, b"", status=status, dataset_version=dataset_version)
        jobs.enqueue(connection, "training", "training", "ann", {}, subject=seq)
    return seq


def test_a_dataset_is_made_read_listed_and_patched(ctx: Context, in_app: App) -> None:
    made = get(ctx, in_app)
    assert (made.id, made.app_id, made.user_id, made.description) == ("all", "pets", "ann", "everything")
    make(ctx, in_app, Dataset(id="some"))
    assert listed(ctx, in_app) == ["all", "some"]
    assert listed(ctx, in_app, page=2) == []
    change = Dataset(id="all", description="all of it")
    PatchDatasets(ctx, service_pb2.PatchDatasetsRequest(user_app_id=in_app, datasets=[change], action="overwrite"))
    assert get(ctx, in_app).description == "all of it"


def test_a_dataset_shows_its_newest_version(ctx: Context, in_app: App) -> None:
    assert not get(ctx, in_app).HasField("version")
    freeze(ctx, in_app, Version(id="v1"), Version(id="v2"))
    assert get(ctx, in_app).version.id == "v2"


def test_inputs_are_put_in_listed_and_taken_out(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, *(item(f"i{number}", picture(colour=number)) for number in range(4)))
    put_in(ctx, in_app, "i2", "i0", "i1")
    assert not put_in(ctx, in_app, "i0", "i3").HasField("status")  # what is in already stays where it is
    assert members(ctx, in_app, "all") == ["i2", "i0", "i1", "i3"]
    request = service_pb2.GetDatasetInputRequest(user_app_id=in_app, dataset_id="all", input_id="i1")
    assert GetDatasetInput(ctx, request).dataset_input.input.id == "i1"
    out = service_pb2.DeleteDatasetInputsRequest(user_app_id=in_app, dataset_id="all", input_ids=["i1", "never"])
    DeleteDatasetInputs(ctx, out)
    assert members(ctx, in_app, "all") == ["i2", "i0", "i3"]
    for call in (lambda: GetDatasetInput(ctx, request), lambda: DeleteDatasetInputs(ctx, out)):
        with pytest.raises(DoesNotExist):
            call()
    DeleteInput(ctx, service_pb2.DeleteInputRequest(user_app_id=in_app, input_id="i0"))
    assert members(ctx, in_app, "all") == ["i2", "i3"]


def test_an_unknown_input_spoils_no_other(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one"))
    answer = put_in(ctx, in_app, "none", "one")
    assert answer.status.code == 10010
    assert [member.input.status.code for member in answer.dataset_inputs] == [30102, 30001]
    assert members(ctx, in_app, "all") == ["one"]


def test_datasets_merge_as_the_sdk_asks(ctx: Context, in_app: App) -> None:
    make(ctx, in_app, Dataset(id="more"))
    post(ctx, in_app, *(item(f"i{number}", picture(colour=number)) for number in range(100)))
    post(ctx, in_app, *(item(f"i{number}", picture(colour=number)) for number in range(100, 200)))
    put_in(ctx, in_app, *(f"i{number}" for number in range(100)), dataset="more")
    put_in(ctx, in_app, *(f"i{number}" for number in range(100, 200)), dataset="more")
    put_in(ctx, in_app, "i5")
    found = resources_pb2.Filter(input=resources_pb2.Input(dataset_ids=["more"]))
    search = resources_pb2.Search(query=resources_pb2.Query(filters=[found]))
    request = service_pb2.PostDatasetInputsRequest(user_app_id=in_app, dataset_id="all", search=search)
    PostDatasetInputs(ctx, request)
    listing = service_pb2.ListDatasetInputsRequest(user_app_id=in_app, dataset_id="all", per_page=1000)
    assert len(ListDatasetInputs(ctx, listing).dataset_inputs) == 200
    request.search.query.filters[0].input.dataset_ids[:] = ["never"]
    with pytest.raises(DoesNotExist):
        PostDatasetInputs(ctx, request)


def put_found(ctx: Context, in_app: App, *filters: object) -> list[str]:
    """What is in the dataset `all` after these filters."""
    search = ParseDict({"query": {"filters": filters}}, resources_pb2.Search())
    PostDatasetInputs(ctx, service_pb2.PostDatasetInputsRequest(user_app_id=in_app, dataset_id="all", search=search))
    return members(ctx, in_app, "all")


def test_inputs_that_a_search_finds_are_put_in(ctx: Context, in_app: App) -> None:
    cat, dog = [{"id": "cat", "value": 1}], [{"id": "dog", "value": 1}]
    post(ctx, in_app, *(item(f"c{n}", picture(colour=n), concepts=cat) for n in range(3)))
    post(ctx, in_app, item("d0", picture(colour=9), concepts=dog, metadata={"camera": "left"}), item("plain"))
    assert put_found(ctx, in_app, {"annotation": {"data": {"concepts": dog}}}) == ["d0"]
    outside = {"input": {"dataset_ids": ["all"]}, "negate": True}
    assert put_found(ctx, in_app, {"annotation": {"data": {"concepts": cat}}}, outside) == ["d0", "c0", "c1", "c2"]
    left = {"input": {"data": {"metadata": {"camera": "left"}}}, "negate": True}
    assert put_found(ctx, in_app, left) == ["d0", "c0", "c1", "c2", "plain"]


def test_a_search_that_changes_as_it_is_walked_over_loses_nothing(
    ctx: Context, in_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is put in is not outside any more: pages by offset would pass over every second step."""
    monkeypatch.setattr("luthier.rpcs.dataset_inputs._ADDED_AT_ONCE", 2)
    post(ctx, in_app, *(item(f"i{n}", picture(colour=n)) for n in range(7)))
    outside = {"input": {"dataset_ids": ["all"]}, "negate": True}
    assert put_found(ctx, in_app, outside) == [f"i{n}" for n in range(7)]


@pytest.mark.parametrize(
    "search", [{}, {"filters": [{}]}, {"ranks": [{"annotation": {"data": {"text": {"raw": "x"}}}}]}]
)
def test_searches_that_put_nothing_in_are_refused(ctx: Context, in_app: App, search: object) -> None:
    request = service_pb2.PostDatasetInputsRequest(user_app_id=in_app, dataset_id="all")
    request.search.CopyFrom(ParseDict({"query": search}, resources_pb2.Search()))
    with pytest.raises(InvalidRequest, match="search"):
        PostDatasetInputs(ctx, request)


def test_a_version_is_pending_and_a_job_freezes_it(ctx: Context, in_app: App) -> None:
    made = freeze(ctx, in_app, Version(id="v1", description="first"))[0]
    assert made == read(ctx, in_app, "v1")
    assert (made.dataset_id, made.app_id, made.user_id) == ("all", "pets", "ann")
    assert (made.status.code, made.request_origin, made.description) == (64005, 1, "first")
    job = jobs.claim(ctx.database, "w", "data")
    assert job is not None
    seq = seq_of(ctx, "v1")
    assert (job.kind, job.subject, job.payload) == ("snapshot", seq, {"dataset_version": seq})
    make_ready(ctx, "v1")
    ready = read(ctx, in_app, "v1")
    assert ready.status.code == 64015
    assert ready.metrics["/"].inputs_count.value == 3


def test_the_split_is_80_10_10_or_what_metadata_say(ctx: Context, in_app: App) -> None:
    freeze(ctx, in_app, Version(id="plain"), version_with({"train": 0.5, "test": 0.5, "seed": 7}, "own"))
    with ctx.database.read() as connection:
        found = dict(connection.execute(select(tables.dataset_versions.c.id, tables.dataset_versions.c.split)).all())
    assert json.loads(found["plain"]) == {"train": 0.8, "val": 0.1, "test": 0.1, "seed": 0}
    assert json.loads(found["own"]) == {"train": 0.5, "val": 0.0, "test": 0.5, "seed": 7}
    assert MessageToDict(read(ctx, in_app, "own").metadata)["split"] == {"train": 0.5, "test": 0.5, "seed": 7}


@pytest.mark.parametrize(
    "split",
    [
        {"train": 0.8},
        {"train": 0.8, "val": 0.3},
        {"train": 0.5, "val": 0.5000021},
        {"train": 1.5, "val": -0.5},
        {"val": 1},
        {"train": "0.8", "val": 0.2},
        {"train": 1, "seed": 1.5},
        {"train": 1, "seed": -1},
        {"train": 1, "dev": 0},
        "80/10/10",
        [0.8, 0.1, 0.1],
    ],
)
def test_splits_that_are_refused(ctx: Context, in_app: App, split: object) -> None:
    with pytest.raises(InvalidRequest, match=r"metadata\.split"):
        freeze(ctx, in_app, version_with(split))
    assert jobs.claim(ctx.database, "w", "data") is None


def test_a_rounding_error_in_the_split_is_forgiven(ctx: Context, in_app: App) -> None:
    freeze(ctx, in_app, version_with({"train": 1 / 3, "val": 1 / 3, "test": 1 / 3}))


def test_versions_are_listed_patched_and_deleted(ctx: Context, in_app: App) -> None:
    freeze(ctx, in_app, Version(id="v1"), version_with({"train": 1}, "v2"))

    def listing(**request: object) -> list[str]:
        wanted = service_pb2.ListDatasetVersionsRequest(user_app_id=in_app, dataset_id="all", **request)
        return [version.id for version in ListDatasetVersions(ctx, wanted).dataset_versions]

    def patch(change: Version) -> None:
        request = service_pb2.PatchDatasetVersionsRequest(
            user_app_id=in_app, dataset_id="all", dataset_versions=[change], action="merge"
        )
        PatchDatasetVersions(ctx, request)

    assert listing() == ["v1", "v2"]
    assert listing(page=2) == listing(request_origins=[2]) == []
    patch(Version(id="v1", description="the first"))
    assert read(ctx, in_app, "v1").description == "the first"
    with pytest.raises(InvalidRequest, match="split"):
        patch(version_with({"train": 0.5, "val": 0.5}, "v2"))
    delete_version(ctx, in_app, "v1")
    assert listing() == ["v2"]


def filter_of(*filters: object, ignore_empty: bool = False) -> object:
    search = {"query": {"filters": [{"annotation": {"data": {"concepts": one}}} for one in filters]}}
    return {"annotation_filter": {"search": search}, "ignore_empty_inputs": ignore_empty}


def stored_filter(ctx: Context, id: str) -> object:
    with ctx.database.read() as connection:
        found = snapshots.by_seq(connection, seq_of(ctx, id))
    assert found
    return found.annotation_filter


def test_a_version_may_take_in_some_labels_alone(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("i1", concepts=[{"id": "cat", "value": 1}, {"id": "dog", "value": 0}]))
    config = filter_of([{"id": "cat", "value": 1}, {"id": "dog", "value": 1}], ignore_empty=True)
    made = freeze(ctx, in_app, ParseDict({"id": "v1", "annotation_filter_config": config}, Version()), Version(id="v2"))
    assert MessageToDict(made[0].annotation_filter_config, preserving_proto_field_name=True) == config
    assert stored_filter(ctx, "v1") == {
        "filters": [{"concepts": [["cat", 1], ["dog", 1]], "negate": False}],
        "ignore_empty_inputs": True,
    }
    assert stored_filter(ctx, "v2") is None


def test_a_dataset_has_a_default_filter(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("i1", concepts=[{"id": "cat", "value": 1}]))
    default = filter_of([{"id": "cat", "value": 1}])["annotation_filter"]  # type: ignore[index]
    change = ParseDict({"id": "all", "default_annotation_filter": default}, Dataset())
    PatchDatasets(ctx, service_pb2.PatchDatasetsRequest(user_app_id=in_app, datasets=[change], action="merge"))
    own = ParseDict({"id": "v2", "annotation_filter_config": {"annotation_filter": {}}}, Version())
    made = freeze(ctx, in_app, Version(id="v1"), own)
    assert made[0].annotation_filter_config.annotation_filter == get(ctx, in_app).default_annotation_filter
    assert stored_filter(ctx, "v1") == {
        "filters": [{"concepts": [["cat", 1]], "negate": False}],
        "ignore_empty_inputs": False,
    }
    assert stored_filter(ctx, "v2") is None
    with pytest.raises(InvalidRequest, match="annotation_filter_config"):
        request = service_pb2.PatchDatasetVersionsRequest(
            user_app_id=in_app, dataset_id="all", dataset_versions=[Version(id="v1")], action="merge"
        )
        request.dataset_versions[0].annotation_filter_config.ignore_empty_inputs = True
        PatchDatasetVersions(ctx, request)


@pytest.mark.parametrize(
    "config",
    [
        filter_of([]),
        filter_of([{"name": "cat", "value": 1}]),
        filter_of([{"id": "cat", "value": 0.5}]),
        {"annotation_filter": {"id": "saved"}},
        {"annotation_filter": {"search": {"query": {"ranks": [{"annotation": {"data": {"text": {"raw": "x"}}}}]}}}},
        {"annotation_filter": {"search": {"query": {"filters": [{"input": {"id": "i1"}}]}}}},
        {"annotation_filter": {"search": {"save": True, "query": {"filters": []}}}},
    ],
)
def test_filters_that_are_refused(ctx: Context, in_app: App, config: object) -> None:
    with pytest.raises(InvalidRequest, match="annotation_filter"):
        freeze(ctx, in_app, ParseDict({"annotation_filter_config": config}, Version()))
    default = config["annotation_filter"]  # type: ignore[index]
    with pytest.raises(InvalidRequest, match="annotation_filter"):
        make(ctx, in_app, ParseDict({"id": "d", "default_annotation_filter": default}, Dataset()))
    assert jobs.claim(ctx.database, "w", "data") is None


def test_a_filter_names_concepts_that_are_there(ctx: Context, in_app: App) -> None:
    config = filter_of([{"id": "unicorn", "value": 1}])
    with pytest.raises(DoesNotExist, match="unicorn"):
        freeze(ctx, in_app, ParseDict({"annotation_filter_config": config}, Version()))


def test_metrics_as_the_sdk_polls_and_reads_them(ctx: Context, in_app: App) -> None:
    freeze(ctx, in_app, Version(id="v1"))
    assert [field.name for field, _ in metrics(ctx, in_app, "v1").ListFields()] in ([], ["status"])
    make_ready(ctx, "v1")
    groups = MessageToDict(metrics(ctx, in_app, "v1"))["datasetVersionMetricsGroups"]
    wrappers = {"inputsCount", "boundingBoxesCount", "positiveInputTagsCount", "polygonsCount"}
    assert all(wrappers <= set(group["metrics"]) for group in groups)
    assert [(group["type"], group["value"]) for group in groups] == [
        ("INPUT_TYPE", "total"),
        ("CONCEPT_ID", "cat"),
        ("CONCEPT_ID", "dog"),
    ]
    assert groups[0]["metrics"]["inputsCount"] == "3"
    assert groups[1]["metrics"]["positiveInputTagsCount"] == "2"


def test_the_sdk_can_add_the_metrics_up(ctx: Context, in_app: App) -> None:
    from clarifai.datasets.upload.utils import DisplayUploadStatus

    freeze(ctx, in_app, Version(id="v1"))
    make_ready(ctx, "v1")
    inputs, annotations = DisplayUploadStatus.get_dataset_version_stats(metrics(ctx, in_app, "v1"))
    assert inputs == {"total": "3"}
    assert annotations == {"concepts": 2, "bboxes": 0, "polygons": 0}


DRAWN = {
    "inputs": 4,
    "unlabeled_inputs": 0,
    "positive_tags": 1,
    "regions": 6,
    "region_inputs": 3,
    "positive_region_tags": 6,
    "kinds": {"boxes": 3, "masks": 2, "spans": 1},
    "per_concept": {
        "cat": {"positive": 1, "negative": 1, "region_inputs": 2, "regions_only": 1, "boxes": 3, "masks": 2},
        "dog": {"positive": 0, "negative": 0, "region_inputs": 1, "regions_only": 1, "spans": 1},
    },
    "per_input": {"boxes": {"1": 1, "2": 1}, "masks": {"2": 1}, "spans": {"1": 1}},
}


def test_metrics_count_regions_by_concept_and_by_number(ctx: Context, in_app: App) -> None:
    freeze(ctx, in_app, Version(id="v1"))
    make_ready(ctx, "v1", DRAWN)
    total, cat, dog, *by_number = metrics(ctx, in_app, "v1").dataset_version_metrics_groups
    assert (total.metrics.bounding_boxes_count.value, total.metrics.masks_count.value) == (3, 2)
    assert (total.metrics.regions_count.value, total.metrics.region_inputs_count.value) == (6, 3)
    assert total.metrics.positive_region_tags_count.value == 6
    assert (cat.metrics.inputs_count.value, cat.metrics.positive_input_tags_count.value) == (3, 1)
    assert (cat.metrics.bounding_boxes_count.value, cat.metrics.positive_region_tags_count.value) == (3, 5)
    assert (dog.metrics.inputs_count.value, dog.metrics.positive_region_tags_count.value) == (1, 1)
    assert [(one.type, one.value.number_value, one.metrics.inputs_count.value) for one in by_number] == [
        (20, 1, 1),
        (20, 2, 1),
        (23, 2, 1),
    ]
    assert by_number[1].metrics.bounding_boxes_count.value == 2
    assert read(ctx, in_app, "v1").metrics["/"] == total.metrics


def test_metrics_groups_are_narrowed_and_paged(ctx: Context, in_app: App) -> None:
    freeze(ctx, in_app, Version(id="v1"))
    make_ready(ctx, "v1", DRAWN)

    def values(**wanted: object) -> list[object]:
        groups = MessageToDict(metrics(ctx, in_app, "v1", **wanted)).get("datasetVersionMetricsGroups", [])
        return [group["value"] for group in groups]

    assert values() == ["total", "cat", "dog", 1, 2, 2]
    assert values(types=[20, 23]) == [1, 2, 2]
    assert values(values=[Value(string_value="dog"), Value(number_value=1)]) == ["dog", 1]
    assert values(page=2, per_page=2) == ["dog", 1]
    assert values(parent_paths=["/elsewhere"]) == []


def test_metrics_of_a_failed_version_say_why(ctx: Context, in_app: App) -> None:
    freeze(ctx, in_app, Version(id="v1"))
    with ctx.database.write() as connection:
        snapshots.failed(connection, seq_of(ctx, "v1"), "disk is full")
    with pytest.raises(DatasetVersionConflict, match="disk is full"):
        metrics(ctx, in_app, "v1")
    assert read(ctx, in_app, "v1").status.code == 64020


def test_bad_B2_B8_B9_ids_of_datasets(ctx: Context, in_app: App) -> None:
    for id in ("../x", "a/b", "Not spam", "é"):
        with pytest.raises(InvalidRequest):
            make(ctx, in_app, Dataset(id=id))
    request = service_pb2.DeleteDatasetsRequest(user_app_id=in_app, dataset_ids=["all"])
    DeleteDatasets(ctx, request)
    for call in (
        lambda: DeleteDatasets(ctx, request),
        lambda: get(ctx, in_app),
        lambda: freeze(ctx, in_app, Version()),
    ):
        with pytest.raises(DoesNotExist):
            call()


def test_bad_B7_the_same_dataset_and_version_at_once(ctx: Context, in_app: App) -> None:
    def attempt(call: object) -> int:
        try:
            call()  # type: ignore[operator]
        except DuplicateId as error:
            return error.code
        return 10000

    with ThreadPoolExecutor(20) as pool:
        for call in (lambda: make(ctx, in_app, Dataset(id="d")), lambda: freeze(ctx, in_app, Version(id="v"))):
            assert sorted(pool.map(attempt, [call] * 20)) == [10000] + [40010] * 19


def test_bad_B15_C20_batches(ctx: Context, in_app: App) -> None:
    calls = (
        lambda: make(ctx, in_app, *(Dataset() for _ in range(129))),
        lambda: make(ctx, in_app),
        lambda: put_in(ctx, in_app),
        lambda: put_in(ctx, in_app, *("x" for _ in range(129))),
        lambda: freeze(ctx, in_app),
        lambda: delete_version(ctx, in_app),
        lambda: DeleteDatasets(ctx, service_pb2.DeleteDatasetsRequest(user_app_id=in_app)),
    )
    for call in calls:
        with pytest.raises(InvalidRequest, match="128"):
            call()


def test_bad_C17_read_only_fields_of_a_version_are_not_stored(ctx: Context, in_app: App) -> None:
    sent = Version(id="v1", user_id="bob", app_id="x", dataset_id="y", request_origin=2)
    sent.status.code, sent.created_at.seconds = 64015, 5
    sent.metrics["/"].inputs_count.value = 99
    made = freeze(ctx, in_app, sent)[0]
    assert (made.user_id, made.app_id, made.dataset_id, made.request_origin) == ("ann", "pets", "all", 1)
    assert (made.status.code, len(made.metrics)) == (64005, 0)


def test_bad_C18_patching_what_is_not_there(ctx: Context, in_app: App) -> None:
    for action, kind in (("bogus", InvalidRequest), ("merge", DoesNotExist), ("remove", DoesNotExist)):
        request = service_pb2.PatchDatasetsRequest(user_app_id=in_app, datasets=[Dataset(id="no")], action=action)
        with pytest.raises(kind):
            PatchDatasets(ctx, request)


def test_bad_F12_a_version_in_use_stays(ctx: Context, in_app: App) -> None:
    freeze(ctx, in_app, Version(id="v1"))
    training = train_on(ctx, in_app, "v1")
    for call in (
        lambda: delete_version(ctx, in_app, "v1"),
        lambda: DeleteDatasets(ctx, service_pb2.DeleteDatasetsRequest(user_app_id=in_app, dataset_ids=["all"])),
    ):
        with pytest.raises(DatasetVersionConflict) as error:
            call()
        assert error.value.code == 64030
    with ctx.database.write() as connection:
        versions.to_failed(connection, training, "cancelled")
    delete_version(ctx, in_app, "v1")
    with pytest.raises(DoesNotExist):
        read(ctx, in_app, "v1")


def test_bad_F14_a_dataset_of_another_user(ctx: Context, in_app: App) -> None:
    from tests.rpcs.conftest import caller, make_user

    bob = dataclasses.replace(ctx, caller=caller(make_user(ctx.database, "bob"), "bob"))
    with pytest.raises(DoesNotExist):
        get(bob, App(user_id="ann", app_id="pets"))


def test_deleting_an_app_cancels_its_trainings(ctx: Context, in_app: App) -> None:
    from luthier.rpcs.apps import DeleteApp

    freeze(ctx, in_app, Version(id="v1"))
    train_on(ctx, in_app, "v1")
    DeleteApp(ctx, service_pb2.DeleteAppRequest(user_app_id=in_app))
    assert jobs.claim(ctx.database, "w", "training") is None


def test_datasets_of_all_apps_of_a_user(ctx: Context, in_app: App) -> None:
    PostApps(ctx, service_pb2.PostAppsRequest(apps=[resources_pb2.App(id="birds")]))
    birds = App(user_id="me", app_id="birds")
    for place, id in ((in_app, "b"), (birds, "a"), (in_app, "c")):
        PostDatasets(ctx, service_pb2.PostDatasetsRequest(user_app_id=place, datasets=[Dataset(id=id)]))
    everywhere = App(user_id="me")
    assert listed(ctx, everywhere) == ["all", "b", "a", "c"]
    assert listed(ctx, everywhere, sort_by_id=True) == ["c", "b", "all", "a"]
    assert listed(ctx, everywhere, sort_by_id=True, sort_ascending=True, per_page=2, page=2) == ["b", "c"]
    answer = ListDatasets(ctx, service_pb2.ListDatasetsRequest(user_app_id=everywhere))
    assert [dataset.app_id for dataset in answer.datasets] == ["pets", "pets", "birds", "pets"]
    with ctx.database.read() as connection:
        only = resources.find_app(connection, "ann", "birds")
    assert only and listed(
        dataclasses.replace(ctx, caller=dataclasses.replace(ctx.caller, app=only.seq)), everywhere
    ) == ["a"]
