"""What a transfer learns from: the embedder that is named, the app's own, or a pre-trained one for what it holds."""

from typing import Any

import pytest
from clarifai.utils.model_train import params_parser, response_to_model_params
from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import InvalidRequest, InvalidTrainingParams, ModelDoesNotExist
from luthier.rpcs.context import Context
from luthier.rpcs.dataset_versions import PatchDatasetVersions, PostDatasetVersions
from luthier.rpcs.estimates import PostModelVersionsTrainingTimeEstimate
from luthier.rpcs.model_types import ListModelTypes
from luthier.store import dataset_versions
from tests.rpcs.trainable import (
    IN_APP,
    add_concept,
    add_dataset,
    add_input,
    cats_and_dogs,
    finish_training,
    make_model,
    post,
    row_of,
    training,
)

TRANSFER = "embedding-classifier"


def asked(ctx: Context, version: resources_pb2.ModelVersion, model_id: str = "m") -> dict[str, Any]:
    return row_of(ctx, post(ctx, version, model_id).model_version.id).request


@pytest.fixture
def pictures(ctx: Context) -> None:
    cats_and_dogs(ctx)
    make_model(ctx, "m", TRANSFER)


def embedder(ctx: Context, id: str = "own", done: bool = True) -> str:
    """A visual-embedder with a version; its id."""
    make_model(ctx, id, "visual-embedder")
    version = post(ctx, training("Clarifai_ResNext", pretrained_weights="None"), id).model_version.id
    if done:
        finish_training(ctx, version)
    return str(version)


def test_pictures_without_an_embedder_take_the_pre_trained_one(ctx: Context, pictures: None) -> None:
    request = asked(ctx, training(""))
    assert (request["template"], request["base"]) == ("luthier_image_transfer", {})
    assert request["hyperparameters"]["concepts_mutually_exclusive"] is False


def test_the_newest_trained_embedder_of_the_app_is_the_base(ctx: Context, pictures: None) -> None:
    embedder(ctx, "old")
    version = embedder(ctx, "own")
    embedder(ctx, "unready", done=False)
    request = asked(ctx, training(""))
    assert request["base"] == {"model_id": "own", "version_id": version}
    assert request["hyperparameters"]["base_embed_model"] == "own"


def test_an_embedder_is_named_in_params_typed_or_by_its_weights(ctx: Context, pictures: None) -> None:
    wanted = {"model_id": "old", "version_id": embedder(ctx, "old")}
    embedder(ctx, "own")
    assert asked(ctx, training("", base_embed_model="old"))["base"] == wanted
    typed = training("")
    typed.input_info.base_embed_model.id = "old"
    typed.input_info.base_embed_model.model_version.id = wanted["version_id"]
    assert asked(ctx, typed)["base"] == wanted
    named = asked(ctx, training("", base_embed_model="timm/vit_small_patch14_dinov2.lvd142m"))
    assert (named["base"], named["template"]) == ({}, "luthier_image_transfer")


def test_texts_are_embedded_by_the_encoder(ctx: Context) -> None:
    concepts = {id: add_concept(ctx, id) for id in ("cat", "dog")}
    for id, seq in concepts.items():
        for number in range(6):
            add_input(ctx, f"{id}-{number}", {seq: 1}, kind="text")
        add_input(ctx, f"picture of {id}", {seq: 1})
    make_model(ctx, "m", TRANSFER)
    request = asked(ctx, training(""))
    assert request["template"] == "luthier_text_transfer"
    assert asked(ctx, training("luthier_image_transfer"))["template"] == "luthier_image_transfer"


@pytest.mark.parametrize(
    ("named", "error", "says"),
    [
        ("nowhere", ModelDoesNotExist, "nowhere"),
        ("m", InvalidTrainingParams, "an? embedding-classifier; name a trained visual-embedder"),
        ("unready", InvalidTrainingParams, "no trained version"),
        (3.0, InvalidTrainingParams, "give a model's id as text"),
    ],
)
def test_an_embedder_that_is_none_is_refused(
    ctx: Context, pictures: None, named: Any, error: type[Exception], says: str
) -> None:
    embedder(ctx, "unready", done=False)
    with pytest.raises(error, match=says):
        post(ctx, training("", base_embed_model=named))


def test_learning_on_keeps_the_embedder_below(ctx: Context, pictures: None) -> None:
    base = {"model_id": "old", "version_id": embedder(ctx, "old")}
    first = post(ctx, training("")).model_version.id
    finish_training(ctx, first)
    embedder(ctx, "own")
    more = training("")
    more.train_info.resume_from_model.id = "m"
    more.train_info.resume_from_model.model_version.id = first
    assert asked(ctx, more)["base"] == base
    more.train_info.params["base_embed_model"] = "own"
    with pytest.raises(InvalidTrainingParams, match="trained on the vectors of old"):
        post(ctx, more)


def test_what_the_sdk_makes_of_the_fields_is_taken_as_it_is(ctx: Context, pictures: None) -> None:
    types = ListModelTypes(ctx, service_pb2.ListModelTypesRequest())
    params = response_to_model_params(types, TRANSFER)
    params["concepts"], params["concepts_mutually_exclusive"] = ["cat", "dog"], True
    version = resources_pb2.ModelVersion(**params_parser(params, ["cat", "dog"]))
    values = asked(ctx, version)["hyperparameters"]
    assert values["concepts_mutually_exclusive"] is True and values["enrich_dataset"] == "Automatic"


def test_time_is_estimated_without_a_template(ctx: Context, pictures: None) -> None:
    request = service_pb2.PostModelVersionsTrainingTimeEstimateRequest(
        user_app_id=IN_APP, model_id="m", model_versions=[training("")], estimated_input_count=100
    )
    few = PostModelVersionsTrainingTimeEstimate(ctx, request).training_time_estimates[0].seconds
    request.estimated_input_count = 10_000
    answer = PostModelVersionsTrainingTimeEstimate(ctx, request)
    assert few < answer.training_time_estimates[0].seconds
    assert "each input embedded once" in answer.status.details


# -- how texts are prepared --------------------------------------------------------------------------------------------


@pytest.fixture
def texts(ctx: Context) -> None:
    dataset = add_dataset(ctx, "notes")
    concepts = {id: add_concept(ctx, id) for id in ("cat", "dog")}
    for id, seq in concepts.items():
        for number in range(6):
            add_input(ctx, f"{id}-{number}", {seq: 1}, kind="text", dataset=dataset)
    make_model(ctx, "m", TRANSFER)


def version_of_notes(ctx: Context, **metadata: Any) -> resources_pb2.DatasetVersion:
    version = resources_pb2.DatasetVersion(id="v")
    version.metadata.update(metadata)
    request = service_pb2.PostDatasetVersionsRequest(user_app_id=IN_APP, dataset_id="notes", dataset_versions=[version])
    made: resources_pb2.DatasetVersion = PostDatasetVersions(ctx, request).dataset_versions[0]
    return made


def test_preparation_is_stored_with_the_dataset_version_and_reaches_the_training(ctx: Context, texts: None) -> None:
    wanted = {"lower_case": True, "stop_words": "english", "unicode": "none"}
    made = version_of_notes(ctx, text_preparation=wanted)
    assert made.metadata["text_preparation"]["stop_words"] == "english"
    request = asked(ctx, training("", dataset_id="notes", dataset_version_id="v"))
    assert request["text_preparation"] == {"lower_case": True, "stop_words": "english"}
    made.metadata["text_preparation"]["lower_case"] = False
    patch = service_pb2.PatchDatasetVersionsRequest(
        user_app_id=IN_APP, dataset_id="notes", dataset_versions=[made], action="overwrite"
    )
    with pytest.raises(InvalidRequest, match="text_preparation cannot be changed"):
        PatchDatasetVersions(ctx, patch)
    other = training("", dataset_id="notes", dataset_version_id="v", text_preparation={"whitespace": True})
    with pytest.raises(InvalidTrainingParams, match="differs from that of dataset version v"):
        post(ctx, other)


def test_a_version_that_a_training_makes_gets_the_preparation_of_its_params(ctx: Context, texts: None) -> None:
    row = row_of(ctx, post(ctx, training("", text_preparation={"whitespace": True})).model_version.id)
    assert row.request["text_preparation"] == {"whitespace": True} and row.dataset_version is not None
    with ctx.database.read() as connection:
        made = dataset_versions.by_seq(connection, row.dataset_version)
    assert made is not None
    metadata = resources_pb2.DatasetVersion.FromString(made.message).metadata
    assert metadata["text_preparation"]["whitespace"] is True


def test_a_preparation_that_is_none_is_refused(ctx: Context, texts: None) -> None:
    with pytest.raises(InvalidRequest, match=r"metadata\.text_preparation has the key lower"):
        version_of_notes(ctx, text_preparation={"lower": True})
    with pytest.raises(InvalidTrainingParams, match="for templates that tell texts apart"):
        post(ctx, training("luthier_image_transfer", text_preparation={"lower_case": True}))
