"""What a version learned from, its log line by line, and stopping an upload."""

import json

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import DoesNotExist, InvalidRange, InvalidRequest, ModelDoesNotExist
from luthier.rpcs.add_jobs import CancelInputsAddJob, GetInputsAddJob
from luthier.rpcs.context import Context
from luthier.rpcs.inputs import DeleteInput
from luthier.rpcs.model_inputs import ListLogEntries, ListModelInputs
from luthier.store import logs, snapshots
from tests.rpcs.test_inputs import check_inputs, get, item
from tests.rpcs.test_inputs import post as post_inputs
from tests.rpcs.trainable import IN_APP, add_input, cats_and_dogs, make_model, post, row_of, training

App = resources_pb2.UserAppIDSet


def learned(ctx: Context, **request: object) -> list[str]:
    wanted = service_pb2.ListModelInputsRequest(user_app_id=IN_APP, model_id="m", **request)
    return [f"{one.id} {one.status.code}" for one in ListModelInputs(ctx, wanted).inputs]


def freeze(ctx: Context, version_id: str, rows: list[dict[str, object]]) -> None:
    """What the worker does before a training: the manifest's lines, in a blob of the dataset version."""
    blob = ctx.blobs.put("".join(json.dumps(row) + "\n" for row in rows).encode())
    with ctx.database.write() as connection:
        seq = row_of(ctx, version_id).dataset_version
        assert seq is not None
        assert snapshots.begin(connection, seq) and snapshots.ready(connection, seq, blob, {})


def test_inputs_that_a_version_learned_from(ctx: Context) -> None:
    concepts = cats_and_dogs(ctx, 2)
    add_input(ctx, "unlabelled", {})
    make_model(ctx)
    version = post(ctx, training()).model_version.id
    assert learned(ctx) == []  # not frozen yet
    rows: list[dict[str, object]] = [{"id": f"cat-{n}", "labels": {"cat": 1}} for n in range(2)]
    rows += [{"id": "dog-0", "labels": {"dog": 1}}, {"id": "dog-1", "labels": {"dog": 1}, "invalid": "damaged"}]
    freeze(ctx, version, [*rows, {"id": "unlabelled"}, {"id": "other", "labels": {"bird": 1}}])
    DeleteInput(ctx, service_pb2.DeleteInputRequest(user_app_id=IN_APP, input_id="cat-1"))
    expected = ["cat-0 30000", "cat-1 30102", "dog-0 30000"]
    assert learned(ctx) == learned(ctx, version_id=version) == expected
    assert learned(ctx, page=2, per_page=2) == expected[2:] and learned(ctx, page=3, per_page=2) == []
    assert len(concepts) == 2
    with pytest.raises(ModelDoesNotExist):
        learned(ctx, version_id="nothing")


def test_a_model_that_was_never_trained_learned_from_nothing(ctx: Context) -> None:
    make_model(ctx)
    assert learned(ctx) == []


# -- the log -----------------------------------------------------------------------------------------------------------


def entries(ctx: Context, version: str, **request: object) -> service_pb2.MultiLogEntryResponse:
    wanted = {"user_app_id": IN_APP, "model_id": "m", "model_version_id": version, "log_type": "training", **request}
    return ListLogEntries(ctx, service_pb2.ListLogEntriesRequest(**wanted))


def test_the_log_line_by_line(ctx: Context) -> None:
    cats_and_dogs(ctx, 2)
    make_model(ctx)
    version = post(ctx, training()).model_version.id
    assert not entries(ctx, version).log_entries
    with ctx.database.write() as connection:
        for piece in ("one\ntwo", " halves\n", "\nfour\nfive"):
            logs.append(connection, row_of(ctx, version).seq, piece)
    found = entries(ctx, version, page=1)
    assert [one.message for one in found.log_entries] == ["one", "two halves", "", "four", "five"]
    assert (found.page, found.per_page, found.log_entries[0].log_type) == (1, 32, "training")
    assert version in found.log_entries[0].url
    assert [one.message for one in entries(ctx, version, page=2, per_page=2).log_entries] == ["", "four"]
    last = entries(ctx, version, per_page=2)
    assert last.page == 3 and [one.message for one in last.log_entries] == ["five"]
    assert not entries(ctx, version, page=4, per_page=2).log_entries


def test_other_logs_are_not_there(ctx: Context) -> None:
    make_model(ctx)
    for wrong in ({"log_type": "builder"}, {"model_id": ""}, {"model_version_id": ""}):
        with pytest.raises(InvalidRequest):
            entries(ctx, "v", **wrong)
    with pytest.raises(ModelDoesNotExist):
        entries(ctx, "nothing")
    with pytest.raises(InvalidRange):
        entries(ctx, "v", per_page=5000)


# -- stopping an upload ------------------------------------------------------------------------------------------------


def test_an_upload_that_was_cancelled_is_not_decoded(ctx: Context, in_app: App) -> None:
    post_inputs(ctx, in_app, item("done"), inputs_add_job_id="j")
    check_inputs(ctx)
    post_inputs(ctx, in_app, item("waits"), inputs_add_job_id="j")
    request = service_pb2.CancelInputsAddJobRequest(user_app_id=in_app, id="j")
    job = CancelInputsAddJob(ctx, request).inputs_add_job
    assert (job.status.code, job.progress.pending_count, job.progress.success_count) == (64004, 0, 1)
    assert job.progress.failed_count == 1
    check_inputs(ctx)
    assert get(ctx, in_app, "done").status.code == 30000
    stopped = get(ctx, in_app, "waits").status
    assert (stopped.code, stopped.details) == (30002, "cancelled by ann")
    asked = service_pb2.GetInputsAddJobRequest(user_app_id=in_app, id="j")
    assert GetInputsAddJob(ctx, asked).inputs_add_job.progress.pending_count == 0


def test_a_job_that_has_ended_stays_completed(ctx: Context, in_app: App) -> None:
    post_inputs(ctx, in_app, item("done"), inputs_add_job_id="j")
    check_inputs(ctx)
    request = service_pb2.CancelInputsAddJobRequest(user_app_id=in_app, id="j")
    assert CancelInputsAddJob(ctx, request).inputs_add_job.status.code == 64002
    for id, kind in (("", InvalidRequest), ("nothing", DoesNotExist)):
        with pytest.raises(kind):
            CancelInputsAddJob(ctx, service_pb2.CancelInputsAddJobRequest(user_app_id=in_app, id=id))
