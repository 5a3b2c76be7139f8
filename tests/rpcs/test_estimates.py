"""The training time estimate: its arithmetic, where its figures come from, and what is measured because of it."""

import time
from dataclasses import replace
from typing import Any

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.catalog.model_type import all_templates, find_template
from luthier.errors import DoesNotExist, InvalidRange, InvalidRequest, InvalidTrainingParams, ModelDoesNotExist
from luthier.rpcs import training_time
from luthier.rpcs.context import Context
from luthier.rpcs.estimates import PostModelVersionsTrainingTimeEstimate, length_of_texts
from luthier.rpcs.model_lookup import model_of
from luthier.rpcs.training_time import Costs, Workload
from luthier.store import calibrations, devices, jobs
from luthier.store.calibrations import Calibration
from tests.rpcs.test_model_versions import counts_of, frozen
from tests.rpcs.trainable import IN_APP, TINY, add_concept, add_dataset, add_input, make_model, training

MEASURED = Calibration(TINY, "visual-classifier", 48, 32, "cpu/2", 0.1, 0.001, 5.0, 0.5, 0.0554)


@pytest.fixture
def ready(ctx: Context) -> Context:
    make_model(ctx)
    with ctx.database.write() as connection:
        devices.seen(connection, "w", "cpu/2", "cpu")
    return ctx


def measured(ctx: Context, calibration: Calibration = MEASURED) -> None:
    with ctx.database.write() as connection:
        calibrations.record(connection, calibration)


def ask(ctx: Context, *versions: resources_pb2.ModelVersion, count: int = 0) -> Any:
    request = service_pb2.PostModelVersionsTrainingTimeEstimateRequest(
        user_app_id=IN_APP, model_id="m", model_versions=versions, estimated_input_count=count
    )
    return PostModelVersionsTrainingTimeEstimate(ctx, request)


def seconds(ctx: Context, version: resources_pb2.ModelVersion, count: int = 0) -> int:
    return int(ask(ctx, version, count=count).training_time_estimates[0].seconds)


def just(template: str, **params: Any) -> resources_pb2.ModelVersion:
    return training(template, concepts=(), **params)


def test_the_arithmetic_counts_steps_validation_start_and_checkpoints() -> None:
    work = Workload(train_items=800, validation_items=100, test_items=50, epochs=3, batch_size=16, gflops_per_item=1.0)
    costs = Costs(seconds_per_step=0.5, seconds_per_validation_item=0.01, start_seconds=7.0, checkpoint_seconds=2.0)
    steps, judged, checkpoints = 3 * 50 * 0.5, (3 * 100 + 50) * 0.01, 4 * 2.0
    assert training_time.training_seconds(work, costs) == pytest.approx(7.0 + steps + judged + checkpoints)


def test_a_small_data_set_is_counted_as_often_as_its_epoch_repeats_it() -> None:
    yolof = find_template("visual-detector", "MMDetection_YoloF")
    for given, train, items in ((300, 80, 300), (50, 80, 80)):
        values = yolof.checked({"min_samples_per_epoch": given})
        assert training_time.workload(yolof, values, (train, 10, 10)).train_items == items
    transfer = find_template("embedding-classifier", "luthier_text_transfer")
    work = training_time.workload(transfer, transfer.defaults(), (80, 10, 10))
    assert work.train_items == 1000
    few, many = (training_time.transfer_seconds(work, items, "cpu/2", "cpu") for items in (100, 1020))
    assert few < many  # what is repeated is embedded once


@pytest.mark.parametrize("field", ["start_seconds", "checkpoint_seconds", "seconds_per_step"])
def test_each_cost_is_in_the_sum(field: str) -> None:
    work = Workload(100, 10, 10, 2, 8, 1.0)
    costs = Costs(0.1, 0.01, 1.0, 1.0)
    dearer = replace(costs, **{field: 10 * getattr(costs, field)})
    assert training_time.training_seconds(work, dearer) > training_time.training_seconds(work, costs)


def test_a_calibration_scales_with_computation_and_batch_size() -> None:
    work = Workload(100, 10, 10, 2, batch_size=64, gflops_per_item=2 * MEASURED.gflops_per_item)
    costs = training_time.scaled(MEASURED, work)
    assert costs.seconds_per_step == pytest.approx(0.1 * 2 * 64 / 32)
    assert costs.seconds_per_validation_item == pytest.approx(0.002)
    assert costs.start_seconds == 5.0


def test_the_nearest_calibration_is_of_the_same_template_then_of_the_same_weight() -> None:
    template = find_template("visual-classifier", TINY)
    work = training_time.workload(template, template.defaults(), (80, 10, 10))
    same = replace(MEASURED, batch_size=8)
    heavy = replace(MEASURED, template="heavy", gflops_per_item=50.0)
    light = replace(MEASURED, template="light", gflops_per_item=0.03)
    assert training_time.nearest([heavy, light, same], template, work) is same
    assert training_time.nearest([heavy, light], template, work) is light
    assert training_time.nearest([], template, work) is None


def test_a_frozen_network_whose_features_are_kept_sees_every_example_once() -> None:
    template = find_template("visual-classifier", TINY)
    for given, epochs in (({"feature_cache": "on"}, 1), ({"feature_cache": "off"}, 40)):
        values = template.checked({"trainable_layers": "head", **given})
        assert training_time.workload(template, values, (80, 10, 10)).epochs == epochs


def test_the_splits_add_up() -> None:
    for items in (0, 1, 7, 100, 1797):
        assert sum(training_time.split_of(items)) == items


def test_a_measurement_for_exactly_this_is_taken_as_it_is(ready: Context) -> None:
    measured(ready)
    answer = ask(ready, just(TINY, num_epochs=10), count=1000)
    expected = 5.0 + 10 * 800 / 32 * 0.1 + (10 * 100 + 100) * 0.001 + 11 * 0.5
    assert answer.training_time_estimates[0].seconds == pytest.approx(expected, abs=1)
    assert (answer.status.code, answer.status.details) == (10000, "")
    assert jobs.claim(ready.database, "w", "training") is None


def test_another_batch_size_is_a_first_estimate_and_is_measured_once(ready: Context) -> None:
    measured(ready)
    for _ in range(3):
        answer = ask(ready, just(TINY, batch_size=16), count=1000)
        assert "first estimate" in answer.status.details and TINY in answer.status.details
    job = jobs.claim(ready.database, "w", "training")
    assert job is not None and job.kind == "calibration"
    assert job.payload["template"] == TINY
    assert job.payload["model_type"] == "visual-classifier"
    assert job.payload["hyperparameters"] == {"image_size": 48, "batch_size": 16}
    assert jobs.claim(ready.database, "w", "training") is None
    ask(ready, just(TINY, batch_size=16), count=1000)
    assert jobs.claim(ready.database, "w", "training") is None, "one that runs is not asked for again"


def test_another_network_of_the_template_is_scaled_from_the_one_that_was_measured(ready: Context) -> None:
    segformer = find_template("visual-segmenter", "MMSegmentation_SegFormer")
    small = segformer.gflops_for(segformer.checked({"image_size": [128]}))
    key = {"template": segformer.id, "model_type": segformer.model_type, "image_size": 128, "batch_size": 2}
    measured(ready, replace(MEASURED, **key, gflops_per_item=small))
    sizes = {"image_size": [128], "batch_size": 2}
    assert ask(ready, just(segformer.id, **sizes), count=1000).status.details == ""
    answer = ask(ready, just(segformer.id, **sizes, model_size="b2"), count=1000)
    assert "scaled from a measurement of MMSegmentation_SegFormer" in answer.status.details
    assert answer.training_time_estimates[0].seconds > 2 * seconds(ready, just(segformer.id, **sizes), 1000)
    assert jobs.claim(ready.database, "w", "training") is None
    elsewhere = just(segformer.id, image_size=[96], batch_size=2, model_size="b2")
    ask(ready, elsewhere, count=1000)
    job = jobs.claim(ready.database, "w", "training")
    assert job is not None and job.payload["hyperparameters"]["model_size"] == "b2"


def test_what_would_keep_a_processor_for_minutes_is_not_measured(ready: Context) -> None:
    answer = ask(ready, just("MMDetection_FasterRCNN"), count=100)
    assert "first estimate" in answer.status.details
    assert jobs.claim(ready.database, "w", "training") is None
    assert ask(ready, just("luthier_tiny_resnet"), count=100).status.details
    assert jobs.claim(ready.database, "w", "training") is not None


def test_a_calibration_that_failed_is_not_asked_for_again_at_once(ready: Context) -> None:
    ask(ready, just(TINY), count=10)
    job = jobs.claim(ready.database, "w", "training")
    assert job is not None
    with ready.database.write() as connection:
        jobs.fail(connection, job, "no", retry=False)
    ask(ready, just(TINY), count=10)
    assert jobs.claim(ready.database, "w", "training") is None


def test_without_any_measurement_there_is_an_estimate_all_the_same(ctx: Context) -> None:
    make_model(ctx)
    answer = ask(ctx, just(TINY), count=100)
    assert answer.training_time_estimates[0].seconds > 0
    assert "nothing was measured" in answer.status.details


def test_more_inputs_and_epochs_take_longer(ready: Context) -> None:
    measured(ready)
    assert seconds(ready, just(TINY), 10_000) > seconds(ready, just(TINY), 1000)
    assert seconds(ready, just(TINY, num_epochs=80), 1000) > seconds(ready, just(TINY), 1000)
    assert seconds(ready, just("MMClassification_ResNet_50_RSB_A1"), 1000) > seconds(ready, just(TINY), 1000)


def test_every_listed_template_gets_an_answer_under_three_seconds(ready: Context) -> None:
    """Also the guide's snippet, which asks a classifier about MMDetection_FasterRCNN."""
    measured(ready)
    names = {template.id for template in all_templates()} | {"MMDetection", "MMClassification", "HuggingFace"}
    assert "MMDetection_FasterRCNN" in names
    for name in sorted(names):
        began = time.monotonic()
        assert seconds(ready, just(name), 100) >= 1, name
        assert time.monotonic() - began < 3


def test_several_versions_get_an_answer_each(ready: Context) -> None:
    answer = ask(ready, just(TINY), just("MMDetection_FasterRCNN"), count=100)
    assert len(answer.training_time_estimates) == 2


def test_a_frozen_version_is_counted_as_it_was_split(ready: Context) -> None:
    measured(ready)
    counts = {**counts_of(320, 320), "splits": {"train": 640, "val": 0, "test": 0}}
    frozen(ready, add_dataset(ready, "d"), "v1", counts)
    expected = 5.0 + 10 * 640 / 32 * 0.1 + 11 * 0.5
    found = seconds(ready, just(TINY, num_epochs=10, dataset_version_id="v1"))
    assert found == pytest.approx(expected, abs=1)


def test_without_a_count_the_inputs_of_dataset_or_app_count(ready: Context) -> None:
    with pytest.raises(InvalidRequest, match="estimated_input_count"):
        ask(ready, just(TINY))
    dataset, cat = add_dataset(ready, "d"), add_concept(ready, "cat")
    for number in range(30):
        add_input(ready, str(number), {cat: 1}, dataset=dataset if number < 5 else 0)
    measured(ready, replace(MEASURED, seconds_per_step=64.0))
    assert seconds(ready, just(TINY)) > seconds(ready, just(TINY, dataset_id="d"))


def test_texts_cost_as_much_as_is_read_of_them(ready: Context) -> None:
    make_model(ready, "texts", "text-classifier")
    minilm = find_template("text-classifier", "luthier_minilm")
    short, concept = add_dataset(ready, "short"), add_concept(ready, "c")
    for number in range(8):
        add_input(ready, f"s{number}", {concept: 1}, dataset=short, kind="text", size=56)
        add_input(ready, f"l{number}", {concept: 1}, kind="text", size=10**6)
        add_input(ready, f"u{number}", {concept: 1}, kind="text", size=0, status=30001)
    with ready.database.read() as connection:
        model = model_of(ready, connection, IN_APP, "texts")
        lengths = [length_of_texts(connection, model, minilm.defaults(), dataset) for dataset in (short, None)]
    assert lengths == [56.0, (56 + 128 * 4) / 2]  # a very long text counts for what is read of it
    key = {"template": minilm.id, "model_type": minilm.model_type, "image_size": 0}
    sixteen_tokens = minilm.gflops_for(minilm.defaults(), 56.0)
    measured(ready, replace(MEASURED, **key, seconds_per_step=1000.0, gflops_per_item=sixteen_tokens))
    of_short = just(minilm.id, dataset_id="short", batch_size=32)
    assert ask(ready, of_short).status.details == ""
    longer = just(minilm.id, dataset_id="short", batch_size=32, max_tokens=512)
    assert seconds(ready, longer) == seconds(ready, of_short)  # there is no more to read
    shorter = just(minilm.id, dataset_id="short", batch_size=32, max_tokens=8)
    assert seconds(ready, of_short) > 1.5 * seconds(ready, shorter)
    whole = just(minilm.id, batch_size=32)
    assert "scaled from a measurement of luthier_minilm" in ask(ready, whole).status.details
    assert seconds(ready, whole) > 7 * seconds(ready, of_short)


def test_bad_requests(ready: Context) -> None:
    with pytest.raises(InvalidTrainingParams, match="template is missing"):
        ask(ready, resources_pb2.ModelVersion(), count=10)
    with pytest.raises(InvalidTrainingParams, match="MMDetection_FasterRCNN"):
        ask(ready, just("MMDetection_FasterRCN"), count=10)
    with pytest.raises(InvalidTrainingParams, match="num_epochs"):
        ask(ready, just(TINY, num_epoch=1), count=10)
    with pytest.raises(InvalidRange):
        ask(ready, just(TINY), count=2**60)
    with pytest.raises(DoesNotExist):
        ask(ready, just(TINY, dataset_version_id="nonsense"))
    with pytest.raises(InvalidRequest):
        ask(ready, count=10)
    request = service_pb2.PostModelVersionsTrainingTimeEstimateRequest(user_app_id=IN_APP, model_id="nonsense")
    request.model_versions.add()
    with pytest.raises(ModelDoesNotExist):
        PostModelVersionsTrainingTimeEstimate(ready, request)
