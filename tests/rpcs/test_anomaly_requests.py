"""PostModelVersions of a visual-anomaly-heatmap: good pictures alone are enough; without any nothing is queued."""

from dataclasses import replace
from typing import Any

import pytest
from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import InsufficientData, InvalidTrainingParams, MissingWeights, NoPositives, NoTrainingData
from luthier.rpcs.context import Context
from tests.rpcs.trainable import add_concept, add_input, make_model, post, row_of, training

TINY = "luthier_tiny_patchcore"


@pytest.fixture
def ready(ctx: Context) -> Context:
    """Ten pictures that are good, and a concept of faults that no picture has."""
    good = add_concept(ctx, "good")
    add_concept(ctx, "scratch")
    for number in range(10):
        add_input(ctx, f"good-{number}", {good: 1})
    make_model(ctx, "strange", "visual-anomaly-heatmap")
    return ctx


def queued(ctx: Context, template: str = TINY, concepts: tuple[str, ...] = ("good",), **params: Any) -> Any:
    return post(ctx, training(template, concepts, **params), "strange").model_version


@pytest.mark.parametrize("concepts", [("good",), ("good", "scratch"), ("scratch", "good")])
def test_good_pictures_alone_are_enough(ready: Context, concepts: tuple[str, ...]) -> None:
    version: resources_pb2.ModelVersion = queued(ready, concepts=concepts)
    assert version.status.code == 21103
    assert row_of(ready, version.id).request["hyperparameters"]["good_concept"] == ""


def test_the_snippet_that_sends_its_configuration_as_an_empty_text(ready: Context) -> None:
    version = queued(ready, "Anomalib_PatchCore", anomalib_config_json="", pretrained_weights="None")
    assert row_of(ready, version.id).request["hyperparameters"]["anomalib_config_json"] == {}
    assert version.train_info.params["anomalib_config_json"] == ""  # as it was sent


def test_weights_that_may_not_be_fetched_are_named_with_what_does_without(ready: Context) -> None:
    offline = replace(ready, settings=replace(ready.settings, offline=True))
    with pytest.raises(MissingWeights, match=r"fetch none itself.* or set pretrained_weights to None to start"):
        queued(offline, "Anomalib_PatchCore")


def test_the_only_concept_is_that_of_good_pictures_whatever_it_is_called(ctx: Context) -> None:
    tile = add_concept(ctx, "tile")
    for number in range(3):
        add_input(ctx, f"tile-{number}", {tile: 1})
    make_model(ctx, "strange", "visual-anomaly-heatmap")
    assert queued(ctx, concepts=("tile",)).status.code == 21103


def test_pictures_that_are_labelled_as_without_faults_are_good(ctx: Context) -> None:
    scratch = add_concept(ctx, "scratch")
    add_concept(ctx, "dent")
    for number in range(3):
        add_input(ctx, f"fine-{number}", {scratch: 0})
    make_model(ctx, "strange", "visual-anomaly-heatmap")
    assert queued(ctx, concepts=("scratch", "dent")).status.code == 21103


def test_bad_F8_without_a_good_picture_nothing_is_queued(ready: Context) -> None:
    dent = add_concept(ready, "dent")
    for number in range(3):
        add_input(ready, f"dent-{number}", {dent: 1})
    with pytest.raises(NoPositives, match=r"no input is labelled as not having dent, scratch .value 0."):
        queued(ready, concepts=("dent", "scratch"))
    with pytest.raises(NoPositives, match="no input carries scratch"):
        queued(ready, concepts=("scratch", "good"), good_concept="scratch")
    with pytest.raises(NoTrainingData, match="no input is labelled with scratch"):
        queued(ready, concepts=("scratch",))


def test_bad_F9_one_good_picture_is_too_few(ctx: Context) -> None:
    add_input(ctx, "one", {add_concept(ctx, "good"): 1})
    make_model(ctx, "strange", "visual-anomaly-heatmap")
    with pytest.raises(InsufficientData, match="1 input is labelled as good; at least 2"):
        queued(ctx)


def test_bad_H8_a_good_concept_that_is_not_trained_is_refused(ready: Context) -> None:
    with pytest.raises(InvalidTrainingParams, match=r"good_concept is 'fine'.*good, scratch"):
        queued(ready, concepts=("good", "scratch"), good_concept="fine")


def test_bad_H11_a_class_of_ones_own_is_refused(ready: Context) -> None:
    config = {"model": {"class_path": "os.system", "init_args": {"command": "true"}}}
    with pytest.raises(InvalidTrainingParams, match=r"anomalib_config_json.model"):
        queued(ready, "Anomalib_PatchCore", anomalib_config_json=config, pretrained_weights="None")
