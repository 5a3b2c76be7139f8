"""Inputs: posted in batches, listed, patched, deleted."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from sqlalchemy import func, select

from luthier.errors import DoesNotExist, InputDoesNotExist, InvalidRange, InvalidRequest
from luthier.rpcs.add_jobs import GetInputCount, GetInputsAddJob, ListInputsAddJobs
from luthier.rpcs.apps import DeleteApp
from luthier.rpcs.concepts import ListConcepts
from luthier.rpcs.context import Context
from luthier.rpcs.dataset_inputs import ListDatasetInputs
from luthier.rpcs.datasets import PostDatasets
from luthier.rpcs.inputs import DeleteInput, DeleteInputs, GetInput, ListInputs, PatchInputs, PostInputs
from luthier.store import jobs, tables
from luthier.store.ingestion import Checked, apply, pending
from tests.rpcs.pictures import picture

App = resources_pb2.UserAppIDSet
Input = resources_pb2.Input
Answer = service_pb2.MultiInputResponse


def item(id: str, data: bytes | None = None, **data_fields: object) -> Input:
    """An input with a picture; further fields as in the wire's JSON."""
    message = ParseDict({"data": data_fields}, Input(id=id))
    message.data.image.base64 = picture() if data is None else data
    return message


def text(id: str, raw: str) -> Input:
    return Input(id=id, data=resources_pb2.Data(text=resources_pb2.Text(raw=raw)))


def post(ctx: Context, in_app: App, *inputs: Input, **request: object) -> Answer:
    return PostInputs(ctx, service_pb2.PostInputsRequest(user_app_id=in_app, inputs=inputs, **request))


def get(ctx: Context, in_app: App, id: str) -> Input:
    return GetInput(ctx, service_pb2.GetInputRequest(user_app_id=in_app, input_id=id)).input


def listed(ctx: Context, in_app: App, **request: object) -> list[str]:
    return [found.id for found in ListInputs(ctx, service_pb2.ListInputsRequest(user_app_id=in_app, **request)).inputs]


def patch(ctx: Context, in_app: App, action: str, *inputs: Input) -> Answer:
    return PatchInputs(ctx, service_pb2.PatchInputsRequest(user_app_id=in_app, inputs=inputs, action=action))


def concepts(message: Input) -> dict[str, float]:
    return {concept.id: concept.value for concept in message.data.concepts}


def check_inputs(ctx: Context, code: int = 30000, details: str = "") -> None:
    """What the worker does with every pending input."""
    with ctx.database.write() as connection:
        seqs = list(connection.execute(select(tables.inputs.c.seq)).scalars())
        found = [Checked(row.seq, code, details, 4, 3) for row in pending(connection, seqs)]
        apply(connection, found)


def make_dataset(ctx: Context, in_app: App, id: str) -> None:
    request = service_pb2.PostDatasetsRequest(user_app_id=in_app, datasets=[resources_pb2.Dataset(id=id)])
    PostDatasets(ctx, request)


def members(ctx: Context, in_app: App, dataset: str) -> list[str]:
    request = service_pb2.ListDatasetInputsRequest(user_app_id=in_app, dataset_id=dataset)
    return [member.input.id for member in ListDatasetInputs(ctx, request).dataset_inputs]


def codes(answer: Answer) -> list[int]:
    return [one.status.code for one in answer.inputs]


def test_a_picture_is_stored_and_pending_until_it_was_decoded(ctx: Context, in_app: App) -> None:
    data = picture("PNG", (6, 4))
    answer = post(ctx, in_app, item("one", data, concepts=[{"id": "cat", "value": 1}], metadata={"file": "one.png"}))
    assert not answer.HasField("status")  # the dispatcher makes it SUCCESS
    made = answer.inputs[0]
    assert (made.id, made.status.code) == ("one", 30001)
    info = made.data.image.image_info
    assert (info.width, info.height, info.format) == (6, 4, "PNG")
    assert not made.data.image.base64
    assert concepts(made) == {"cat": 1}
    assert MessageToDict(made.data.metadata) == {"file": "one.png"}
    assert ctx.blobs.read(hashlib.sha256(data).hexdigest()) == data
    check_inputs(ctx)
    assert get(ctx, in_app, "one").status.code == 30000


def test_one_decoding_job_per_call(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one"), text("two", "hello"), item("three", picture(colour=1)))
    job = jobs.claim(ctx.database, "w", "data")
    assert job is not None
    assert (job.kind, job.user) == ("ingest", "ann")
    assert len(job.payload["inputs"]) == 2  # a text has nothing to decode
    assert jobs.claim(ctx.database, "w", "data") is None


def test_labels_make_their_concepts_as_the_sdk_expects(ctx: Context, in_app: App) -> None:
    label = {"id": "Not spam", "name": "Not spam", "value": 1}
    post(ctx, in_app, item("one", concepts=[label]), item("two", picture(colour=1), concepts=[label]))
    found = ListConcepts(ctx, service_pb2.ListConceptsRequest(user_app_id=in_app)).concepts
    assert [concept.id for concept in found] == ["Not spam"]


def test_unset_value_is_a_negative_label(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one", concepts=[{"id": "cat"}]))
    assert concepts(get(ctx, in_app, "one")) == {"cat": 0}


def test_inputs_go_into_their_datasets(ctx: Context, in_app: App) -> None:
    make_dataset(ctx, in_app, "train")
    sent = item("one")
    sent.dataset_ids.append("train")
    assert list(post(ctx, in_app, sent).inputs[0].dataset_ids) == ["train"]
    assert members(ctx, in_app, "train") == ["one"]
    sent.dataset_ids[:] = ["nowhere"]
    sent.id = "two"
    assert codes(post(ctx, in_app, sent)) == [11101]
    assert listed(ctx, in_app) == ["one"]


def test_an_id_is_made_where_none_is_sent(ctx: Context, in_app: App) -> None:
    assert len(post(ctx, in_app, item("")).inputs[0].id) == 32


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("line\r\n\x00\x07\x1b[31mred\x7f", id="E3"),
        pytest.param("\u202egnp.exe\u2066 Z\u0351\u036b\u0343 \U0001f600\U000e0041 \u0378", id="E5"),
        pytest.param("<script>alert(1)</script>{{7*7}}=cmd|' /C calc'!A0 ${jndi:ldap://h/a}", id="E6"),
    ],
)
def test_bad_E3_E5_E6_texts_are_stored_as_they_are(ctx: Context, in_app: App, raw: str) -> None:
    sent = text("t", raw)
    sent.data.metadata["note"] = raw.replace("\0", "")
    assert codes(post(ctx, in_app, sent)) == [30000]
    for found in (get(ctx, in_app, "t"), *ListInputs(ctx, service_pb2.ListInputsRequest(user_app_id=in_app)).inputs):
        assert found.data.text.raw == raw
        assert found.data.metadata["note"] == raw.replace("\0", "")
    assert ctx.blobs.read(hashlib.sha256(raw.encode()).hexdigest()) == raw.encode()


def test_an_add_job_counts_its_inputs(ctx: Context, in_app: App) -> None:
    def progress() -> tuple[int, ...]:
        request = service_pb2.GetInputsAddJobRequest(user_app_id=in_app, id="job1")
        found = GetInputsAddJob(ctx, request).inputs_add_job.progress
        return found.pending_count, found.in_progress_count, found.success_count, found.failed_count

    assert post(ctx, in_app, item("one"), inputs_add_job_id="job1").inputs_add_job.id == "job1"
    assert progress() == (1, 0, 0, 0)
    check_inputs(ctx)
    post(ctx, in_app, item("two", picture(colour=2)), inputs_add_job_id="job1")
    check_inputs(ctx, 47104, "file ends early")
    assert progress() == (0, 0, 1, 1)
    found = ListInputsAddJobs(ctx, service_pb2.ListInputsAddJobsRequest(user_app_id=in_app)).inputs_add_jobs
    assert [job.id for job in found] == ["job1"]


def test_a_job_whose_inputs_were_all_refused_can_be_polled(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one", b"no picture"), inputs_add_job_id="job1")
    job = GetInputsAddJob(ctx, service_pb2.GetInputsAddJobRequest(user_app_id=in_app, id="job1")).inputs_add_job
    assert (job.progress.pending_count, job.progress.in_progress_count) == (0, 0)
    with pytest.raises(DoesNotExist):
        GetInputsAddJob(ctx, service_pb2.GetInputsAddJobRequest(user_app_id=in_app, id="job2"))


def test_the_input_count_of_an_app(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, *(item(f"i{number}", picture(colour=number)) for number in range(3)))
    check_inputs(ctx)
    post(ctx, in_app, item("bad", picture(colour=9)))
    check_inputs(ctx, 47104)
    post(ctx, in_app, item("new", picture(colour=10)))
    counts = GetInputCount(ctx, service_pb2.GetInputCountRequest(user_app_id=in_app)).counts
    assert (counts.processed, counts.to_process, counts.errors, counts.processing) == (3, 1, 1, 0)


def test_lists_are_filtered_as_the_sdk_does_after_an_upload(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("good"))
    check_inputs(ctx)
    post(ctx, in_app, item("bad", picture(colour=3)))
    check_inputs(ctx, 47104, "file ends early at byte 9")
    success = status_pb2.Status(code=30000)
    assert listed(ctx, in_app, ids=["good", "bad", "none"], per_page=3, status=success) == ["good"]
    assert listed(ctx, in_app) == ["good", "bad"]
    assert get(ctx, in_app, "bad").status.details == "file ends early at byte 9"


def test_an_empty_page_sets_no_other_field(ctx: Context, in_app: App) -> None:
    answer = ListInputs(ctx, service_pb2.ListInputsRequest(user_app_id=in_app))
    assert [field.name for field, _ in answer.ListFields()] in ([], ["status"])


def test_deleting_without_ids_deletes_nothing(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one"))
    DeleteInputs(ctx, service_pb2.DeleteInputsRequest(user_app_id=in_app))
    assert listed(ctx, in_app) == ["one"]


def test_deleting_many_passes_over_those_that_are_not_there(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one"), item("two", picture(colour=1)))
    DeleteInputs(ctx, service_pb2.DeleteInputsRequest(user_app_id=in_app, ids=["one", "never"]))
    assert listed(ctx, in_app) == ["two"]


def test_patching_labels_and_metadata(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one", concepts=[{"id": "cat", "value": 1}], metadata={"a": 1}))

    def patched(action: str, **data: object) -> Input:
        change = ParseDict({"id": "one", "data": data}, Input())
        assert not patch(ctx, in_app, action, change).HasField("status")
        return get(ctx, in_app, "one")

    merged = patched("merge", concepts=[{"id": "dog", "value": 0}], metadata={"b": 2})
    assert concepts(merged) == {"cat": 1, "dog": 0}
    assert MessageToDict(merged.data.metadata) == {"a": 1, "b": 2}
    assert concepts(patched("remove", concepts=[{"id": "cat"}])) == {"dog": 0}
    assert concepts(patched("overwrite", concepts=[{"id": "bird", "value": 1}])) == {"bird": 1}
    assert concepts(patched("overwrite", metadata={"c": 3})) == {"bird": 1}
    assert MessageToDict(get(ctx, in_app, "one").data.metadata) == {"c": 3}


def test_patching_changes_the_datasets_that_are_named(ctx: Context, in_app: App) -> None:
    for id in "abc":
        make_dataset(ctx, in_app, id)
    post(ctx, in_app, item("one"))

    def patched(action: str, *ids: str) -> list[str]:
        answer = patch(ctx, in_app, action, Input(id="one", dataset_ids=ids))
        assert not answer.HasField("status")
        assert sorted(answer.inputs[0].dataset_ids) == [id for id in "abc" if members(ctx, in_app, id)]
        return sorted(answer.inputs[0].dataset_ids)

    assert patched("merge", "a", "b") == ["a", "b"]
    assert patched("merge") == patched("overwrite") == patched("remove") == ["a", "b"]
    assert patched("merge", "c", "a") == ["a", "b", "c"]
    assert patched("remove", "b", "gone") == ["a", "c"]
    assert patched("overwrite", "b", "c") == ["b", "c"]
    wrong = ParseDict({"id": "one", "dataset_ids": ["a", "gone"], "data": {"metadata": {"x": 1}}}, Input())
    assert codes(patch(ctx, in_app, "merge", wrong)) == [11101]
    assert (members(ctx, in_app, "a"), MessageToDict(get(ctx, in_app, "one").data.metadata)) == ([], {})


def test_labels_can_be_given_later(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one"))
    patch(ctx, in_app, "merge", ParseDict({"id": "one", "data": {"concepts": [{"id": "cat", "value": 1}]}}, Input()))
    assert concepts(get(ctx, in_app, "one")) == {"cat": 1}


def test_metadata_pins_the_split(ctx: Context, in_app: App) -> None:
    def split() -> str:
        with ctx.database.read() as connection:
            return str(connection.execute(select(tables.inputs.c.split)).scalar_one())

    post(ctx, in_app, item("one", metadata={"split": "validation"}))
    assert split() == "val"
    patch(ctx, in_app, "merge", ParseDict({"id": "one", "data": {"metadata": {"split": "test"}}}, Input()))
    assert split() == "test"
    wrong = ParseDict({"id": "one", "data": {"metadata": {"split": "tset"}}}, Input())
    assert codes(patch(ctx, in_app, "merge", wrong)) == [30104]
    assert split() == "test"


def test_geo_is_kept_and_checked(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one", geo={"geoPoint": {"longitude": 13.5, "latitude": 52.25}}))
    point = get(ctx, in_app, "one").data.geo.geo_point
    assert (point.longitude, point.latitude) == (13.5, 52.25)
    wrong = item("two", picture(colour=1), geo={"geoPoint": {"longitude": 13.5, "latitude": 91}})
    assert codes(post(ctx, in_app, wrong)) == [30104]
    search = {"geoLimit": {"type": "withinMiles", "value": "NaN"}, "geoBox": [{"geoPoint": {"latitude": 500}}]}
    post(ctx, in_app, item("three", picture(colour=2), geo=search))
    assert not get(ctx, in_app, "three").data.HasField("geo")


def test_other_kinds_are_refused_in_words(ctx: Context, in_app: App) -> None:
    video = Input(id="v", data=resources_pb2.Data(video=resources_pb2.Video(base64=b"x")))
    answer = post(ctx, in_app, video, Input(id="n"))
    assert codes(answer) == [30101, 30104]
    assert "send an image or a text" in answer.inputs[0].status.details
    assert listed(ctx, in_app) == []


def test_deleting_an_app_removes_everything_in_it(ctx: Context, in_app: App) -> None:
    for start in (0, 100, 200):
        batch = [
            item(f"i{n}", picture(colour=n), concepts=[{"id": "c", "value": 1}]) for n in range(start, start + 100)
        ]
        post(ctx, in_app, *batch, inputs_add_job_id="job1")
    DeleteApp(ctx, service_pb2.DeleteAppRequest(user_app_id=in_app))
    with ctx.database.read() as connection:
        for table in (tables.inputs, tables.annotations, tables.labels, tables.concepts, tables.input_jobs):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_bad_B7_the_same_input_fifty_times_at_once(ctx: Context, in_app: App) -> None:
    def send(number: int) -> int:
        return codes(post(ctx, in_app, item("one", picture(colour=number))))[0]

    with ThreadPoolExecutor(50) as pool:
        assert sorted(pool.map(send, range(50))) == [30001] + [30100] * 49
    assert listed(ctx, in_app) == ["one"]


def test_bad_B7_the_same_bytes_under_the_same_id_are_a_success(ctx: Context, in_app: App) -> None:
    make_dataset(ctx, in_app, "train")
    sent = item("one", concepts=[{"id": "cat", "value": 1}])
    first = post(ctx, in_app, sent)
    sent.dataset_ids.append("train")
    again = post(ctx, in_app, sent)
    assert again.inputs[0].created_at == first.inputs[0].created_at
    assert members(ctx, in_app, "train") == ["one"]
    assert listed(ctx, in_app) == ["one"]


def test_bad_B7_other_bytes_or_labels_under_the_same_id_are_a_duplicate(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one", concepts=[{"id": "cat", "value": 1}]))
    for wrong in (item("one", picture(colour=5)), item("one", concepts=[{"id": "dog", "value": 1}])):
        answer = post(ctx, in_app, wrong)
        assert (answer.status.code, codes(answer)) == (10010, [30100])
        assert answer.inputs[0].status.details == "Input has a duplicate ID."  # the SDK compares word for word
    assert concepts(get(ctx, in_app, "one")) == {"cat": 1}


def test_bad_B7_twice_in_one_batch(ctx: Context, in_app: App) -> None:
    answer = post(ctx, in_app, item("one"), item("one"), item("one", picture(colour=1)))
    assert codes(answer) == [30001, 30001, 30100]
    assert listed(ctx, in_app) == ["one"]


def test_bad_B8_B9_unknown_and_deleted_inputs(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one"))
    DeleteInput(ctx, service_pb2.DeleteInputRequest(user_app_id=in_app, input_id="one"))
    for call in (
        lambda: DeleteInput(ctx, service_pb2.DeleteInputRequest(user_app_id=in_app, input_id="one")),
        lambda: DeleteInputs(ctx, service_pb2.DeleteInputsRequest(user_app_id=in_app, ids=["one"])),
        lambda: get(ctx, in_app, "one"),
    ):
        with pytest.raises(InputDoesNotExist) as error:
            call()
        assert error.value.code == 30102


def test_bad_B10_B11_B12_pages(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, *(item(f"i{number}", picture(colour=number)) for number in range(5)))
    assert listed(ctx, in_app, page=0, per_page=0) == ["i0", "i1", "i2", "i3", "i4"]
    assert listed(ctx, in_app, page=2, per_page=2) == ["i2", "i3"]
    assert listed(ctx, in_app, page=2**31, per_page=1000) == []
    with pytest.raises(InvalidRange):
        listed(ctx, in_app, per_page=1001)


def test_bad_B13_inserts_while_paging_shift_nothing(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, *(item(f"m{number}", picture(colour=number)) for number in range(4)))
    first = listed(ctx, in_app, page=1, per_page=2)
    post(ctx, in_app, item("a-new-one", picture(colour=9)))
    assert first + listed(ctx, in_app, page=2, per_page=2) == ["m0", "m1", "m2", "m3"]


def test_bad_B14_an_unknown_status_filter(ctx: Context, in_app: App) -> None:
    with pytest.raises(InvalidRequest):
        listed(ctx, in_app, status=status_pb2.Status(code=99_999_999))


def test_bad_B15_C20_more_than_128(ctx: Context, in_app: App) -> None:
    for call in (
        lambda: post(ctx, in_app, *(item(f"i{number}") for number in range(129))),
        lambda: post(ctx, in_app),
        lambda: patch(ctx, in_app, "merge"),
        lambda: DeleteInputs(ctx, service_pb2.DeleteInputsRequest(user_app_id=in_app, ids=["x"] * 129)),
    ):
        with pytest.raises(InvalidRequest, match="128"):
            call()


def test_bad_C17_read_only_fields_are_not_stored(ctx: Context, in_app: App) -> None:
    sent = item("one")
    sent.status.code, sent.created_at.seconds = 30000, 5
    sent.data.image.image_info.width, sent.data.image.hosted.prefix = 999, "http://evil.example"
    post(ctx, in_app, sent)
    stored = get(ctx, in_app, "one")
    assert (stored.status.code, stored.data.image.image_info.width) == (30001, 4)
    assert stored.created_at.seconds > 1_600_000_000
    assert "evil" not in str(stored)


def test_bad_C18_unknown_action_and_missing_input(ctx: Context, in_app: App) -> None:
    with pytest.raises(InvalidRequest):
        patch(ctx, in_app, "bogus", item("one"))
    for action in ("merge", "overwrite", "remove"):
        assert codes(patch(ctx, in_app, action, Input(id="none"))) == [30102]


def test_bad_C20_one_bad_item_of_128(ctx: Context, in_app: App) -> None:
    batch = [item(f"i{number}", picture(colour=number)) for number in range(128)]
    batch[7] = item("i7", b"\x89PNG\r\n\x1a\nrubbish")
    answer = post(ctx, in_app, *batch)
    assert answer.status.code == 10010
    assert [number for number, code in enumerate(codes(answer)) if code != 30001] == [7]
    assert answer.inputs[7].id == "i7"
    assert len(listed(ctx, in_app, per_page=1000)) == 127


def test_bad_C21_metadata_over_the_caps(ctx: Context, in_app: App) -> None:
    answer = post(ctx, in_app, item("one", metadata={"x": "y" * 70_000}), item("two", metadata={"__proto__": {"a": 1}}))
    assert codes(answer) == [11102, 30001]
    assert MessageToDict(get(ctx, in_app, "two").data.metadata) == {"__proto__": {"a": 1}}


def test_bad_D1_D10_D14_items_of_a_batch(ctx: Context, in_app: App) -> None:
    large = picture("BMP") + b"\0" * (20 * 1024 * 1024)
    answer = post(ctx, in_app, item("a", b""), item("b", b"<svg/>"), item("c", large), item("d"))
    assert codes(answer) == [30300, 30101, 30105, 30001]
    assert "JPEG, PNG, GIF, WebP, BMP, TIFF" in answer.inputs[1].status.details
    assert listed(ctx, in_app) == ["d"]


def test_bad_D13_content_decides(ctx: Context, in_app: App) -> None:
    answer = post(ctx, in_app, item("cat.png", picture("JPEG")))
    assert answer.inputs[0].data.image.image_info.format == "JPEG"


def test_bad_D15_the_same_bytes_under_a_new_id_are_stored_once(ctx: Context, in_app: App) -> None:
    assert codes(post(ctx, in_app, item("one"), item("two"))) == [30001, 30001]
    files = [path for path in ctx.settings.blobs_folder.rglob("*") if path.is_file()]
    assert len(files) == 1


@pytest.mark.parametrize(("raw", "code"), [("", 30104), (" \n\t", 30104), ("x" * (20 * 1024 * 1024 + 1), 30105)])
def test_bad_E1_E2_texts(ctx: Context, in_app: App, raw: str, code: int) -> None:
    assert codes(post(ctx, in_app, text("t", raw))) == [code]


def test_bad_E2_one_long_line(ctx: Context, in_app: App) -> None:
    raw = "x" * (1024 * 1024)
    assert codes(post(ctx, in_app, text("t", raw))) == [30000]
    assert get(ctx, in_app, "t").data.text.raw == raw


def test_bad_E4_a_byte_order_mark_is_no_part_of_a_text(ctx: Context, in_app: App) -> None:
    assert codes(post(ctx, in_app, text("t", "\ufeffhello"), text("blank", "\ufeff\n"))) == [30000, 30104]
    assert get(ctx, in_app, "t").data.text.raw == "hello"


def test_geo_and_metadata_change_by_themselves(ctx: Context, in_app: App) -> None:
    point = {"geoPoint": {"longitude": 13.5, "latitude": 52.25}}
    post(ctx, in_app, item("one", geo=point, metadata={"a": {"b": [1, None, "x"]}}))

    def patched(action: str, **data: object) -> dict[str, object]:
        patch(ctx, in_app, action, ParseDict({"id": "one", "data": data}, Input()))
        found = get(ctx, in_app, "one").data
        return {"geo": MessageToDict(found.geo), "metadata": MessageToDict(found.metadata)}

    assert patched("merge", metadata={"c": True}) == {
        "geo": point,
        "metadata": {"a": {"b": [1, None, "x"]}, "c": True},
    }
    moved = {"geoPoint": {"longitude": -70.25, "latitude": -33.5}}
    assert patched("overwrite", geo=moved)["geo"] == moved
    assert patched("remove", geo=moved)["geo"] == {}


@pytest.mark.parametrize("value", [0.5, 2, -1, float("nan")])
def test_bad_F4_label_values(ctx: Context, in_app: App, value: float) -> None:
    sent = item("one")
    sent.data.concepts.add(id="cat", value=value)
    assert codes(post(ctx, in_app, sent)) == [40003]
    assert listed(ctx, in_app) == []


def test_bad_F4_a_concept_both_positive_and_negative(ctx: Context, in_app: App) -> None:
    assert codes(post(ctx, in_app, item("one", concepts=[{"id": "cat", "value": 1}, {"id": "cat"}]))) == [40003]


def test_thousands_of_labels_in_one_batch_are_kept(ctx: Context, in_app: App) -> None:
    batch = [item(f"i{n}", picture(colour=n), concepts=[{"id": f"{n}-{m}"} for m in range(1000)]) for n in range(34)]
    assert set(codes(post(ctx, in_app, *batch))) == {30001}
    assert len(concepts(get(ctx, in_app, "i33"))) == 1000
    assert codes(post(ctx, in_app, item("x", concepts=[{"id": str(m)} for m in range(1001)]))) == [40003]


def test_a_hundred_datasets_at_most(ctx: Context, in_app: App) -> None:
    sent = item("one")
    sent.dataset_ids.extend(f"d{number}" for number in range(40_000))
    assert codes(post(ctx, in_app, sent)) == [30104]


def test_regions_that_come_with_an_input_are_its_own_annotation(ctx: Context, in_app: App) -> None:
    from luthier.rpcs.annotations import GetAnnotation

    box = {"topRow": 0.1, "leftCol": 0.1, "bottomRow": 0.5, "rightCol": 0.5}
    post(
        ctx, in_app, item("one", regions=[{"regionInfo": {"boundingBox": box}, "data": {"concepts": [{"id": "cat"}]}}])
    )
    request = service_pb2.GetAnnotationRequest(user_app_id=in_app, input_id="one", annotation_id="one")
    assert len(GetAnnotation(ctx, request).annotation.data.regions) == 1


def test_bad_F5_a_box_on_a_text(ctx: Context, in_app: App) -> None:
    sent = text("t", "hello")
    sent.data.regions.add().region_info.bounding_box.bottom_row = 1
    assert codes(post(ctx, in_app, sent)) == [24155]


def test_bad_F14_a_dataset_of_another_app(ctx: Context, in_app: App, bare: Context) -> None:
    from luthier.rpcs.apps import PostApps

    PostApps(bare, service_pb2.PostAppsRequest(user_app_id=in_app, apps=[resources_pb2.App(id="other")]))
    make_dataset(ctx, App(user_id="me", app_id="other"), "theirs")
    sent = item("one")
    sent.dataset_ids.append("theirs")
    assert codes(post(ctx, in_app, sent)) == [11101]


def test_bad_I16_bytes_whose_rows_were_never_written_do_no_harm(ctx: Context, in_app: App) -> None:
    ctx.blobs.put(picture())
    assert codes(post(ctx, in_app, item("one"))) == [30001]
