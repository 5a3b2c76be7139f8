"""PostModelVersions: what is checked before anything is queued; versions shown, listed, changed, deleted, cancelled."""

import json
from pathlib import Path
from typing import Any

import pytest
from clarifai.utils.model_train import params_parser, response_to_model_params
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from sqlalchemy import select

from luthier.errors import (
    DatasetVersionConflict,
    DoesNotExist,
    InsufficientData,
    InvalidConcept,
    InvalidModel,
    InvalidRequest,
    InvalidTrainingParams,
    LimitExceeded,
    ModelDoesNotExist,
    NoPositives,
    NoTrainingData,
    SingleClass,
)
from luthier.rpcs.context import Context
from luthier.rpcs.luthier_service import CancelModelVersion
from luthier.rpcs.model_types import ListModelTypes
from luthier.rpcs.model_versions import (
    DeleteModelVersion,
    GetModelVersion,
    ListModelVersions,
    PatchModelVersions,
    PostModelVersions,
)
from luthier.settings import Settings
from luthier.store import dataset_versions, devices, jobs, snapshots, tables, versions
from luthier.store.database import now
from luthier.wire import luthier_pb2
from tests.rpcs.trainable import (
    IN_APP,
    TINY,
    add_concept,
    add_dataset,
    add_input,
    app_seq,
    cats_and_dogs,
    finish_training,
    make_model,
    post,
    row_of,
    set_version,
    training,
)

A1 = "MMClassification_ResNet_50_RSB_A1"


@pytest.fixture
def ready(ctx: Context) -> Context:
    """Two concepts with ten pictures each, and the model `m`."""
    cats_and_dogs(ctx)
    make_model(ctx)
    return ctx


def with_settings(ctx: Context, **values: Any) -> Context:
    settings = Settings(data_dir=ctx.settings.data_dir, **values)
    return Context(ctx.caller, ctx.database, ctx.blobs, ctx.predictors, settings)


def get(ctx: Context, version_id: str) -> resources_pb2.ModelVersion:
    request = service_pb2.GetModelVersionRequest(user_app_id=IN_APP, model_id="m", version_id=version_id)
    version: resources_pb2.ModelVersion = GetModelVersion(ctx, request).model_version
    return version


def listed(ctx: Context, **filters: Any) -> list[str]:
    request = service_pb2.ListModelVersionsRequest(user_app_id=IN_APP, model_id="m", **filters)
    return [version.id for version in ListModelVersions(ctx, request).model_versions]


def nothing_was_queued(ctx: Context) -> bool:
    return jobs.claim(ctx.database, "w", "training") is None and len(listed(ctx)) == 1


# -- what a training is told -------------------------------------------------------------------------------------------


def test_a_training_is_queued_and_answered_at_once(ready: Context) -> None:
    sent = training(num_epochs=2.0)
    sent.description = "a first try"
    version = post(ready, sent).model_version
    assert (version.status.code, version.status.description) == (21103, "Model is currently in queue for training.")
    assert len(version.id) == 32
    assert version.description == "a first try"
    assert version.active_concept_count == 2
    assert version.train_info.params["template"] == TINY
    assert [one.id for one in version.output_info.data.concepts] == ["cat", "dog"]
    assert version.train_log.startswith("http://127.0.0.1:8080/luthier/v1/logs/")
    assert version.metadata["luthier"]["estimated_seconds"] > 0

    row = row_of(ready, version.id)
    assert row.request["given"] == {"num_epochs": 2}
    assert row.request["hyperparameters"]["num_epochs"] == 2
    assert row.request["hyperparameters"]["batch_size"] == 32
    assert row.request["concepts"] == [{"id": "cat", "name": "Cat"}, {"id": "dog", "name": "Dog"}]
    assert row.request["seed"] >= 0
    assert row.request["invalid_data_tolerance_percent"] == 5.0
    job = jobs.claim(ready.database, "w", "training")
    assert job is not None
    assert (job.kind, job.subject, job.payload) == ("training", row.seq, {"version": row.seq})


def test_a_dataset_version_is_made_for_it(ready: Context) -> None:
    row = row_of(ready, post(ready, training()).model_version.id)
    with ready.database.read() as connection:
        made = snapshots.by_seq(connection, row.dataset_version or 0)
    assert made is not None
    assert (made.status, made.origin, made.dataset) == (64005, 2, None)
    assert made.id.startswith("auto-generated-")
    assert made.split == {"train": 0.8, "val": 0.1, "test": 0.1, "seed": 0}


def test_the_sdk_trains_with_its_own_parameters(ready: Context, tmp_path: Path) -> None:
    """What get_params gives and train sends, for every template that can be trained."""
    types = ListModelTypes(ready, service_pb2.ListModelTypesRequest(user_app_id=IN_APP))
    for template in (TINY, "classification_cifar10_v1"):
        params = response_to_model_params(types, "visual-classifier", template)
        params["concepts"] = ["cat", "dog"]
        if "num_gpus" in params["train_params"]:
            params["train_params"]["num_gpus"] = 0
        version = resources_pb2.ModelVersion(**params_parser(params, ["cat", "dog"]))
        made = post(ready, version).model_version
        assert made.status.code == 21103
        assert made.output_info.params["max_concepts"] == 20
        assert list(made.output_info.params["select_concepts"]) == []


def test_the_guide_with_a_template_of_defaults_trains_without_gpu(ready: Context) -> None:
    """num_gpus is 1 by default; only a wish that is spoken is refused."""
    assert post(ready, training(A1, num_epochs=2)).model_version.status.code == 21103


def test_an_alias_is_accepted_and_shown_as_sent(ready: Context) -> None:
    version = post(ready, training("MMClassification")).model_version
    assert version.status.code == 21103
    assert version.train_info.params["template"] == "MMClassification"
    assert row_of(ready, version.id).request["template"] == "MMClassification_AdvancedConfig"


def test_values_without_a_kind_count_as_missing(ready: Context) -> None:
    sent = training()
    sent.train_info.params.fields["num_epochs"].CopyFrom(Value())
    version = post(ready, sent).model_version
    assert row_of(ready, version.id).request["hyperparameters"]["num_epochs"] == 40
    json_format.MessageToJson(version)


def test_the_seed_is_drawn_or_kept(ready: Context) -> None:
    seeds = {row_of(ready, post(ready, training()).model_version.id).request["seed"] for _ in range(4)}
    assert len(seeds) == 4
    assert row_of(ready, post(ready, training(seed=7)).model_version.id).request["seed"] == 7


def test_settings_for_predictions_are_kept(ready: Context) -> None:
    sent = training()
    sent.output_info.params.update({"max_concepts": 1})
    sent.output_info.output_config.min_value = 0.25
    shown = post(ready, sent).model_version.output_info
    assert (shown.params["max_concepts"], shown.params["min_value"]) == (1, 0.25)
    assert shown.output_config.min_value == 0
    sent.output_info.params.update({"max_concepts": 0})
    with pytest.raises(InvalidTrainingParams, match="max_concepts is 0"):
        post(ready, sent)


def test_softmax_asked_for_by_the_older_flag(ready: Context) -> None:
    sent = training(A1)
    sent.output_info.output_config.concepts_mutually_exclusive = True
    version = post(ready, sent).model_version
    assert row_of(ready, version.id).request["hyperparameters"]["concepts_mutually_exclusive"] is True
    sent.train_info.params.update({"concepts_mutually_exclusive": False})
    with pytest.raises(InvalidTrainingParams, match="make them agree"):
        post(ready, sent)


# -- what is refused, before anything is queued ------------------------------------------------------------------------


def refused(ctx: Context, version: resources_pb2.ModelVersion, kind: type[Exception], *words: str) -> None:
    with pytest.raises(kind) as raised:
        post(ctx, version)
    for word in words:
        assert word in str(raised.value), raised.value
    assert nothing_was_queued(ctx)


def test_bad_H1_unknown_template(ready: Context) -> None:
    refused(ready, training("MMClassification_ResNet_50_RSB_A2"), InvalidTrainingParams, A1)
    refused(ready, training("MMDetection_FasterRCNN"), InvalidTrainingParams)
    refused(ready, training(""), InvalidTrainingParams, "template is missing", TINY)


def test_bad_H2_unknown_key(ready: Context) -> None:
    refused(ready, training(num_epoch=2), InvalidTrainingParams, "num_epoch", "did you mean num_epochs")


@pytest.mark.parametrize("value", [0, -1, 1025, 1.5, "8", True, None, [], 1e9, float("nan"), float("inf")])
def test_bad_H3_H4_values(ready: Context, value: Any) -> None:
    refused(ready, training(batch_size=value), InvalidTrainingParams, "batch_size", "1 to 1024")


def test_bad_H5_a_gpu_asked_for_where_there_is_none(ready: Context) -> None:
    refused(ready, training(num_gpus=1), InvalidTrainingParams, "no GPU worker online; use 0")
    with ready.database.write() as connection:
        devices.seen(connection, "w", "cpu/2", "cpu")
    refused(ready, training(num_gpus=1), InvalidTrainingParams, "no GPU worker online; use 0")
    with ready.database.write() as connection:
        devices.seen(connection, "v", "NVIDIA H100", "cuda")
    assert post(ready, training(num_gpus=1)).model_version.status.code == 21103


def test_bad_H6_image_size(ready: Context) -> None:
    refused(ready, training(image_size=[224]), InvalidTrainingParams, "image_size")
    refused(ready, training(image_size=100000), InvalidTrainingParams, "image_size")


def test_missing_weights_are_told_at_once_when_nothing_may_be_fetched(ready: Context) -> None:
    offline = with_settings(ready, offline=True)
    refused(offline, training(A1), InvalidTrainingParams, "luthier weights add timm/resnet50.a1_in1k")
    refused(offline, training(A1, concepts=()), InvalidTrainingParams, "luthier weights add timm/resnet50.a1_in1k")
    assert post(offline, training(A1, pretrained_weights="None")).model_version.status.code == 21103
    assert post(ready, training(A1)).model_version.status.code == 21103


def test_weights_that_are_on_no_hub_are_missing_online_too(ready: Context) -> None:
    refused(ready, training("Clarifai_InceptionBatchNorm"), InvalidTrainingParams, "no hub has them")


def test_bad_F7_no_data(ctx: Context) -> None:
    make_model(ctx)
    add_concept(ctx, "cat"), add_concept(ctx, "dog")
    refused(ctx, training(), NoTrainingData, "cat, dog")


def test_failed_inputs_are_no_data(ctx: Context) -> None:
    make_model(ctx)
    for id in ("cat", "dog"):
        add_input(ctx, id, {add_concept(ctx, id): 1}, status=47104)
    refused(ctx, training(), NoTrainingData)


def test_bad_F8_a_concept_without_positives(ready: Context) -> None:
    fish = add_concept(ready, "fish")
    add_input(ready, "no-fish", {fish: 0})
    refused(ready, training(concepts=("cat", "dog", "fish")), NoPositives, "1 of 3", "fish")


def test_bad_F8_one_class_only(ready: Context) -> None:
    refused(ready, training(concepts=("cat",)), SingleClass, "cat")
    sigmoid = training(concepts=("cat",), concepts_mutually_exclusive=False)
    refused(ready, sigmoid, SingleClass, "not cat")


def test_one_concept_with_negatives_can_be_learned(ctx: Context) -> None:
    make_model(ctx)
    cat = add_concept(ctx, "cat")
    for number in range(4):
        add_input(ctx, f"{number}", {cat: number % 2})
    assert post(ctx, training(concepts=("cat",), concepts_mutually_exclusive=False)).model_version.status.code == 21103


def test_bad_F9_a_single_input(ctx: Context) -> None:
    make_model(ctx)
    cat, dog = add_concept(ctx, "cat"), add_concept(ctx, "dog")
    add_input(ctx, "both", {cat: 1, dog: 1})
    refused(ctx, training(), InsufficientData, "at least 2")


def test_bad_F17_concepts_that_do_not_fit(ready: Context) -> None:
    refused(ready, training(concepts=("cat", "fish", "bird")), InvalidTrainingParams, "fish, bird", "cat, dog")
    refused(ready, training(concepts=("cat", "dog", "cat")), InvalidConcept, "duplicate", "cat")
    refused(ready, training(concepts=()), InvalidTrainingParams, "concepts is empty", "cat, dog")


def test_bad_E10_too_many_concepts(ready: Context) -> None:
    few = with_settings(ready, max_concepts_per_model=1)
    refused(few, training(), InvalidTrainingParams, "at most 1")


def test_bad_E10_more_concepts_than_a_mask_has_numbers_for(ctx: Context) -> None:
    make_model(ctx, "outlines", "visual-segmenter")
    asked = training("luthier_tiny_segmenter", tuple(f"concept-{number}" for number in range(255)))
    with pytest.raises(InvalidTrainingParams, match="holds 255 concepts; at most 254 are allowed"):
        post(ctx, asked, "outlines")


def test_bad_I8_the_queue_of_one_user_is_limited(ready: Context) -> None:
    narrow = with_settings(ready, queued_jobs_per_user=2)
    ids = {post(narrow, training()).model_version.id for _ in range(2)}
    assert len(ids) == 2
    with pytest.raises(LimitExceeded, match="at most 2"):
        post(narrow, training())
    assert len(listed(ready)) == 3


@pytest.mark.parametrize("tolerance", [-1, 101, "5", True, float("nan")])
def test_invalid_data_tolerance_is_a_percentage(ready: Context, tolerance: Any) -> None:
    sent = training(invalid_data_tolerance_percent=tolerance)
    refused(ready, sent, InvalidTrainingParams, "invalid_data_tolerance_percent", "0 to 100")


def test_data_is_replayed_only_where_there_was_an_earlier_training(ready: Context) -> None:
    refused(ready, training(replay_percent=120), InvalidTrainingParams, "replay_percent", "0 to 100")
    refused(ready, training(replay_percent=20), InvalidTrainingParams, "replay_percent is 20", "resume_from_model")


def test_bad_requests(ready: Context) -> None:
    for versions_sent in ([], [training(), training()]):
        with pytest.raises(InvalidRequest, match="exactly one"):
            PostModelVersions(
                ready,
                service_pb2.PostModelVersionsRequest(user_app_id=IN_APP, model_id="m", model_versions=versions_sent),
            )
    with pytest.raises(ModelDoesNotExist):
        post(ready, training(), "nonsense")
    make_model(ready, "detector", "visual-detector")
    with pytest.raises(InvalidTrainingParams, match="visual-detector"):
        post(ready, training(), "detector")
    imported = training()
    imported.pretrained_model_config.model_zip_url = "http://x"
    with pytest.raises(InvalidModel):
        post(ready, imported)


# -- datasets ----------------------------------------------------------------------------------------------------------


def test_a_named_dataset_is_frozen_for_the_training(ready: Context) -> None:
    dataset = add_dataset(ready, "d")
    sent = training(dataset_id="d", dataset_version_id="")
    refused(ready, sent, NoTrainingData)
    with ready.database.read() as connection:
        concepts = dict(connection.execute(select(tables.concepts.c.id, tables.concepts.c.seq)).all())
    for id, seq in concepts.items():
        for number in range(3):
            add_input(ready, f"in-{id}-{number}", {seq: 1}, dataset=dataset)
    row = row_of(ready, post(ready, sent).model_version.id)
    with ready.database.read() as connection:
        made = snapshots.by_seq(connection, row.dataset_version or 0)
    assert made is not None and made.dataset == dataset
    assert row.request["dataset_id"] == "d"


def frozen(ctx: Context, dataset: int, id: str, counts: dict[str, Any], status: int = 64015) -> int:
    with ctx.database.write() as connection:
        seq = dataset_versions.create(connection, app_seq(ctx), dataset, id, b"")
        values = {"status": status, "counts": json.dumps(counts), "details": "why", "modified_at": now()}
        table = tables.dataset_versions
        connection.execute(table.update().where(table.c.seq == seq).values(**values))
    return seq


def counts_of(cats: int, dogs: int) -> dict[str, Any]:
    each = {"cat": {"positive": cats, "negative": 0}, "dog": {"positive": dogs, "negative": 0}}
    return {"per_concept": each, "splits": {"train": cats + dogs, "val": 0, "test": 0}}


def test_a_dataset_version_may_be_named_without_its_dataset(ready: Context) -> None:
    seq = frozen(ready, add_dataset(ready, "d"), "v1", counts_of(5, 5))
    for sent in (training(dataset_version_id="v1"), training(dataset_id="d", dataset_version_id="v1")):
        assert row_of(ready, post(ready, sent).model_version.id).dataset_version == seq
    typed = training()
    typed.train_info.dataset.id, typed.train_info.dataset.version.id = "d", "v1"
    version = post(ready, typed).model_version
    assert row_of(ready, version.id).dataset_version == seq
    assert version.train_info.dataset.version.id == "v1"


def test_a_frozen_version_is_judged_by_its_own_counts(ready: Context) -> None:
    dataset = add_dataset(ready, "d")
    frozen(ready, dataset, "v1", counts_of(5, 0))
    refused(ready, training(dataset_version_id="v1"), NoPositives, "dog")
    frozen(ready, dataset, "empty", {"per_concept": {}, "splits": {"train": 0, "val": 0, "test": 0}})
    refused(ready, training(dataset_version_id="empty"), NoTrainingData)


def test_bad_F13_a_version_that_is_still_being_made_is_waited_for(ready: Context) -> None:
    dataset = add_dataset(ready, "d")
    frozen(ready, dataset, "failed", {}, status=64020)
    refused(ready, training(dataset_version_id="failed"), DatasetVersionConflict, "failed", "why")
    frozen(ready, dataset, "pending", {}, status=64005)
    with ready.database.read() as connection:
        concepts = connection.execute(select(tables.concepts.c.seq)).scalars().all()
    for seq in concepts:
        add_input(ready, f"extra-{seq}-1", {seq: 1}, dataset=dataset)
    assert post(ready, training(dataset_version_id="pending")).model_version.status.code == 21103


def test_bad_F14_datasets_that_are_not_here(ready: Context) -> None:
    refused(ready, training(dataset_id="nonsense"), DoesNotExist, "nonsense")
    refused(ready, training(dataset_version_id="nonsense"), DoesNotExist, "nonsense")
    foreign = training()
    foreign.train_info.dataset.id, foreign.train_info.dataset.app_id = "d", "other-app"
    refused(ready, foreign, DoesNotExist)


def test_a_version_id_of_two_datasets_is_ambiguous(ready: Context) -> None:
    for id in ("d", "e"):
        frozen(ready, add_dataset(ready, id), "v1", counts_of(5, 5))
    refused(ready, training(dataset_version_id="v1"), InvalidTrainingParams, "2 datasets", "dataset_id")
    conflicting = training(dataset_id="d")
    conflicting.train_info.dataset.id = "e"
    refused(ready, conflicting, InvalidTrainingParams, "give one")


# -- incremental training ----------------------------------------------------------------------------------------------


def resumed(model_id: str, version_id: str, template: str = TINY) -> resources_pb2.ModelVersion:
    version = training(template, num_epochs=1)
    version.train_info.resume_from_model.id = model_id
    version.train_info.resume_from_model.model_version.id = version_id
    return version


def test_a_training_starts_from_an_earlier_version_of_another_model(ready: Context) -> None:
    make_model(ready, "other")
    earlier = post(ready, training(), "other").model_version.id
    finish_training(ready, earlier)
    version = post(ready, resumed("other", earlier)).model_version
    assert row_of(ready, version.id).request["resume_from"] == {"model_id": "other", "version_id": earlier}
    assert version.train_info.resume_from_model.model_version.id == earlier


def test_bad_I5_what_cannot_be_resumed(ready: Context) -> None:
    untrained = listed(ready)[0]
    with pytest.raises(InvalidTrainingParams, match="no checkpoint"):
        post(ready, resumed("m", untrained))
    with pytest.raises(ModelDoesNotExist):
        post(ready, resumed("m", "0" * 32))
    with pytest.raises(ModelDoesNotExist):
        post(ready, resumed("gone", "0" * 32))
    queued = post(ready, training()).model_version.id
    with pytest.raises(InvalidTrainingParams, match="still being trained"):
        post(ready, resumed("m", queued))
    finish_training(ready, queued)
    with pytest.raises(InvalidTrainingParams, match="another network"):
        post(ready, resumed("m", queued, "luthier_convnextv2_tiny"))
    make_model(ready, "detector", "visual-detector")
    with pytest.raises(InvalidTrainingParams, match="visual-detector"):
        post(ready, resumed("detector", ""))
    someone_elses = resumed("m", queued)
    someone_elses.train_info.resume_from_model.user_id = "bob"
    with pytest.raises(DoesNotExist):
        post(ready, someone_elses)


def test_a_cancelled_version_with_a_checkpoint_can_be_resumed(ready: Context) -> None:
    version = post(ready, training()).model_version.id
    set_version(ready, version, status=21106, checkpoint="checkpoints/last", details="cancelled by ann at epoch 3")
    assert post(ready, resumed("m", version)).model_version.status.code == 21103


# -- versions, shown and changed ---------------------------------------------------------------------------------------


def test_progress_and_results_are_shown(ready: Context) -> None:
    id = post(ready, training()).model_version.id
    set_version(ready, id, status=21101, percent=40, seconds_left=75, details="epoch 5 of 12")
    status = get(ready, id).status
    assert (status.code, status.percent_completed, status.time_remaining) == (21101, 40, 75)
    assert status.details == "epoch 5 of 12"

    results = {
        "metrics": {"accuracy": 0.975, "macro_f1": 0.9, "macro_roc_auc": None},
        "estimate": {"estimated_seconds": 3.0, "actual_seconds": 4.0},
        "skipped": [{"id": "x", "reason": "47104"}],
    }
    finish_training(ready, id, results)
    version = get(ready, id)
    assert (version.status.code, version.total_input_count) == (21100, 20)
    assert version.completed_at.seconds > 0
    own = version.metadata["luthier"]
    assert own["metrics"]["accuracy"] == 0.975
    assert own["template"] == TINY
    assert own["skipped"][0]["id"] == "x"
    assert version.metrics.summary.top1_accuracy == pytest.approx(0.975)
    assert version.metrics.summary.macro_avg_f1_score == pytest.approx(0.9)


def test_a_failure_is_shown_with_its_reason(ready: Context) -> None:
    id = post(ready, training()).model_version.id
    set_version(ready, id, status=21106, details="21119 …")
    status = get(ready, id).status
    assert (status.code, status.details) == (21106, "21119 …")


def test_lists_are_newest_first_and_filtered(ready: Context) -> None:
    first = listed(ready)[0]
    second, third = (post(ready, training()).model_version.id for _ in range(2))
    assert listed(ready) == [third, second, first]
    finish_training(ready, second)
    assert listed(ready, trained_only=True) == [second]
    assert listed(ready, sort_by_created_at=True, sort_ascending=True) == [first, second, third]
    assert listed(ready, concept_ids=["cat"]) == [third, second]
    assert listed(ready, concept_ids=["fish"]) == []
    assert listed(ready, page=2, per_page=2) == [first]
    past = service_pb2.ListModelVersionsRequest(user_app_id=IN_APP, model_id="m", page=9)
    assert ListModelVersions(ready, past) == service_pb2.MultiModelVersionResponse()


def patch(ctx: Context, action: str, version: resources_pb2.ModelVersion) -> resources_pb2.ModelVersion:
    request = service_pb2.PatchModelVersionsRequest(
        user_app_id=IN_APP, model_id="m", model_versions=[version], action=action
    )
    return PatchModelVersions(ctx, request).model_versions[0]


def test_descriptions_and_metadata_are_patched(ready: Context) -> None:
    id = post(ready, training()).model_version.id
    assert patch(ready, "merge", resources_pb2.ModelVersion(id=id, description="good")).description == "good"
    change = resources_pb2.ModelVersion(id=id)
    change.metadata.update({"mine": 1, "luthier": {"metrics": {"accuracy": 1.0}}})
    shown = patch(ready, "merge", change)
    assert shown.metadata["mine"] == 1
    assert "metrics" not in shown.metadata["luthier"].fields
    assert shown.description == "good"
    assert shown.train_info.params["template"] == TINY
    with pytest.raises(InvalidRequest):
        patch(ready, "bogus", change)
    with pytest.raises(ModelDoesNotExist):
        patch(ready, "merge", resources_pb2.ModelVersion(id="0" * 32))


def delete(ctx: Context, version_id: str) -> None:
    DeleteModelVersion(
        ctx, service_pb2.DeleteModelVersionRequest(user_app_id=IN_APP, model_id="m", version_id=version_id)
    )


def test_deleting_a_waiting_version_keeps_it_from_ever_starting(ready: Context) -> None:
    id = post(ready, training()).model_version.id
    delete(ready, id)
    assert id not in listed(ready)
    assert jobs.claim(ready.database, "w", "training") is None


def test_deleting_a_running_version_tells_its_worker(ready: Context) -> None:
    id = post(ready, training()).model_version.id
    job = jobs.claim(ready.database, "w", "training")
    assert job is not None
    delete(ready, id)
    assert id not in listed(ready)
    answer = jobs.heartbeat(ready.database, job, 1)
    assert (answer.held, answer.cancel, answer.cancelled_by) == (True, True, "ann")


def test_bad_B9_deleting_a_version_twice(ready: Context) -> None:
    id = post(ready, training()).model_version.id
    delete(ready, id)
    with pytest.raises(ModelDoesNotExist):
        delete(ready, id)
    with pytest.raises(InvalidRequest, match="version_id"):
        delete(ready, "")


def test_bad_I14_the_id_of_a_deleted_version_does_not_come_back(ready: Context) -> None:
    ids = []
    for _ in range(3):
        ids.append(post(ready, training()).model_version.id)
        delete(ready, ids[-1])
    assert len(set(ids)) == 3


def cancel(ctx: Context, version_id: str) -> resources_pb2.ModelVersion:
    request = luthier_pb2.CancelModelVersionRequest(user_app_id=IN_APP, model_id="m", version_id=version_id)
    version: resources_pb2.ModelVersion = CancelModelVersion(ctx, request).model_version
    return version


def test_a_waiting_training_is_cancelled_and_kept(ready: Context) -> None:
    id = post(ready, training()).model_version.id
    status = cancel(ready, id).status
    assert status.code == 21106
    assert "cancelled by ann" in status.details
    assert id in listed(ready)
    assert jobs.claim(ready.database, "w", "training") is None


def test_a_running_training_is_flagged_for_its_worker(ready: Context) -> None:
    id = post(ready, training()).model_version.id
    job = jobs.claim(ready.database, "w", "training")
    assert job is not None
    with ready.database.write() as connection:
        versions.to_training(connection, row_of(ready, id).seq, run_folder=id, details="")
    assert cancel(ready, id).status.code == 21101
    assert jobs.heartbeat(ready.database, job, 1).cancel


def test_bad_I7_cancelling_what_has_ended_changes_nothing(ready: Context) -> None:
    id = post(ready, training()).model_version.id
    job = jobs.claim(ready.database, "w", "training")
    assert job is not None
    finish_training(ready, id)
    with ready.database.write() as connection:
        jobs.finish(connection, job)
    assert cancel(ready, id).status.code == 21100
    waiting = post(ready, training()).model_version.id
    assert cancel(ready, waiting) == cancel(ready, waiting)
    untrained = listed(ready)[-1]
    assert cancel(ready, untrained).status.code == 21102
    with pytest.raises(ModelDoesNotExist):
        cancel(ready, "0" * 32)
