"""Models: making, showing, listing, changing, deleting."""

import threading

import pytest
from clarifai.client.model import Model as SdkModel
from clarifai.utils.protobuf import dict_to_protobuf
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import MessageToDict

from luthier.errors import DoesNotExist, InvalidModel, InvalidRequest, JobConflict, LuthierError, ModelDoesNotExist
from luthier.rpcs.context import Context
from luthier.rpcs.models import (
    DeleteModel,
    DeleteModels,
    GetModel,
    GetModelOutputInfo,
    ListModelConcepts,
    ListModels,
    PatchModels,
    PostModels,
)
from luthier.store import jobs, versions
from tests.rpcs.conftest import caller
from tests.rpcs.trainable import IN_APP, cats_and_dogs, finish_training, make_model, post, row_of, training


def get(ctx: Context, model_id: str, version_id: str = "") -> resources_pb2.Model:
    request = service_pb2.GetModelRequest(user_app_id=IN_APP, model_id=model_id, version_id=version_id)
    model: resources_pb2.Model = GetModel(ctx, request).model
    return model


def listed(ctx: Context, **filters: object) -> list[str]:
    request = service_pb2.ListModelsRequest(user_app_id=IN_APP, **filters)
    return [model.id for model in ListModels(ctx, request).models]


def test_a_new_model_has_an_untrained_version(ctx: Context) -> None:
    model = make_model(ctx, "petsID")
    assert (model.id, model.name, model.app_id, model.user_id) == ("petsID", "petsID", "pets", "ann")
    assert model.model_type_id == "visual-classifier"
    assert model.visibility.gettable == resources_pb2.Visibility.Gettable.PRIVATE
    version = model.model_version
    assert len(version.id) == 32 and int(version.id, 16)
    assert (version.status.code, version.status.description) == (21102, "Model not yet trained.")
    assert dict(model.output_info.params) == {"max_concepts": 20, "min_value": 0, "select_concepts": []}
    assert "output_info" in model.output_info.message
    assert not version.train_log


def test_the_old_singular_field(ctx: Context) -> None:
    old = resources_pb2.Model(id="old", model_type_id="visual-classifier", notes="n")
    answer = PostModels(ctx, service_pb2.PostModelsRequest(user_app_id=IN_APP, model=old))
    assert (answer.model.id, answer.model.notes) == ("old", "n")


def test_bad_B1_the_server_makes_an_id(ctx: Context) -> None:
    assert len(make_model(ctx, "").id) == 32
    for call in (GetModel, GetModelOutputInfo):
        with pytest.raises(InvalidRequest, match="model_id is empty"):
            call(ctx, service_pb2.GetModelRequest(user_app_id=IN_APP))


@pytest.mark.parametrize("id", ["../x", "a/b", "a\\b", ".", "a\0", "ï", "x" * 129, "-a"])
def test_bad_B2_ids(ctx: Context, id: str) -> None:
    with pytest.raises(InvalidRequest, match=r"models\.id"):
        make_model(ctx, id)
    assert listed(ctx) == []


@pytest.mark.parametrize("id", ["versions", "outputs", "x.OR.1-1"])
def test_bad_B6_ids_that_look_like_something_else(ctx: Context, id: str) -> None:
    assert get(ctx, make_model(ctx, id).id).id == id


def test_bad_B7_the_same_id_twice_at_once(ctx: Context) -> None:
    results: list[str] = []

    def make() -> None:
        try:
            results.append(make_model(ctx, "same").id)
        except InvalidModel as error:
            results.append(str(error.code))

    threads = [threading.Thread(target=make) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["21202"] * 11 + ["same"]
    assert listed(ctx) == ["same"]


def test_unknown_model_type_lists_what_exists(ctx: Context) -> None:
    with pytest.raises(InvalidModel, match="visual-classifier") as raised:
        make_model(ctx, "m", "visual-clasifier")
    assert raised.value.code == 21202


def test_bad_C20_batches(ctx: Context) -> None:
    with pytest.raises(InvalidRequest):
        PostModels(ctx, service_pb2.PostModelsRequest(user_app_id=IN_APP))
    many = [resources_pb2.Model(model_type_id="visual-classifier") for _ in range(129)]
    with pytest.raises(InvalidRequest, match="129"):
        PostModels(ctx, service_pb2.PostModelsRequest(user_app_id=IN_APP, models=many))


def test_bad_C17_what_the_server_sets_is_not_taken_from_the_client(ctx: Context) -> None:
    sent = resources_pb2.Model(id="m", model_type_id="visual-classifier", user_id="eve", app_id="other", star_count=9)
    sent.created_at.seconds = 5
    sent.model_version.status.code = 21100
    model = PostModels(ctx, service_pb2.PostModelsRequest(user_app_id=IN_APP, models=[sent])).model
    assert (model.user_id, model.app_id, model.star_count) == ("ann", "pets", 0)
    assert model.created_at.seconds > 5
    assert model.model_version.status.code == 21102


def test_bad_B8_unknown_models_apps_and_versions(ctx: Context) -> None:
    make_model(ctx, "m")
    with pytest.raises(ModelDoesNotExist, match="'n'") as raised:
        get(ctx, "n")
    assert (raised.value.code, raised.value.http_status) == (21200, 404)
    with pytest.raises(ModelDoesNotExist, match="no version"):
        get(ctx, "m", "0" * 32)
    elsewhere = resources_pb2.UserAppIDSet(user_id="me", app_id="nowhere")
    with pytest.raises(DoesNotExist, match="nowhere"):
        GetModel(ctx, service_pb2.GetModelRequest(user_app_id=elsewhere, model_id="m"))
    other_user = resources_pb2.UserAppIDSet(user_id="bob", app_id="pets")
    with pytest.raises(DoesNotExist):
        GetModel(ctx, service_pb2.GetModelRequest(user_app_id=other_user, model_id="m"))


def test_bad_A9_a_token_of_another_app(ctx: Context) -> None:
    make_model(ctx, "m")
    foreign = Context(caller(ctx.caller.user, "ann", app=999), ctx.database, ctx.blobs, ctx.predictors, ctx.settings)
    with pytest.raises(DoesNotExist):
        get(foreign, "m")


def test_get_shows_the_newest_or_the_named_version(ctx: Context) -> None:
    cats_and_dogs(ctx)
    first = make_model(ctx).model_version.id
    second = post(ctx, training()).model_version.id
    assert get(ctx, "m").model_version.id == second
    assert get(ctx, "m", first).model_version.id == first


def test_output_info_and_concepts_of_a_model(ctx: Context) -> None:
    cats_and_dogs(ctx)
    make_model(ctx)
    request = service_pb2.GetModelRequest(user_app_id=IN_APP, model_id="m")
    assert not GetModelOutputInfo(ctx, request).model.output_info.data.concepts
    post(ctx, training())
    shown = GetModelOutputInfo(ctx, request).model
    assert [(one.id, one.name) for one in shown.output_info.data.concepts] == [("cat", "Cat"), ("dog", "Dog")]
    found = ListModelConcepts(ctx, service_pb2.ListModelConceptsRequest(user_app_id=IN_APP, model_id="m", search="DO"))
    assert [one.id for one in found.concepts] == ["dog"]


def test_lists_filter_sort_and_page(ctx: Context) -> None:
    cats_and_dogs(ctx)
    for id in ("bb", "aa", "cc"):
        make_model(ctx, id)
    make_model(ctx, "finder", "visual-detector")
    finish_training(ctx, post(ctx, training(), "aa").model_version.id)
    assert listed(ctx) == ["bb", "aa", "cc", "finder"]
    assert listed(ctx, model_type_id="visual-detector") == ["finder"]
    assert listed(ctx, model_type_id="nonsense") == []
    assert listed(ctx, output_fields=["concepts"], input_fields=["image"]) == ["bb", "aa", "cc"]
    assert listed(ctx, trained_only=True) == ["aa"]
    assert listed(ctx, name="f*") == listed(ctx, search="find") == ["finder"]
    assert listed(ctx, sort_by_name=True, sort_ascending=True) == ["aa", "bb", "cc", "finder"]
    assert listed(ctx, sort_by_created_at=True) == ["finder", "cc", "aa", "bb"]
    assert listed(ctx, model_version_ids=[get(ctx, "cc").model_version.id]) == ["cc"]
    assert listed(ctx, page=2, per_page=3) == ["finder"]
    everywhere = ListModels(ctx, service_pb2.ListModelsRequest(user_app_id=resources_pb2.UserAppIDSet(user_id="me")))
    assert len(everywhere.models) == 4


def test_bad_B12_a_page_past_the_end_holds_nothing_but_status(ctx: Context) -> None:
    make_model(ctx)
    request = service_pb2.ListModelsRequest(user_app_id=IN_APP, page=2**31)
    assert ListModels(ctx, request) == service_pb2.MultiModelResponse()


def test_bad_B14_filters_that_are_not_served_are_refused(ctx: Context) -> None:
    for flag in ("sort_by_star_count", "featured_only", "query"):
        with pytest.raises(InvalidRequest, match=flag):
            listed(ctx, **{flag: "x" if flag == "query" else True})


def test_bad_B14_a_filter_that_only_costs_time(ctx: Context) -> None:
    make_model(ctx, "a" * 100)
    assert listed(ctx, name="a*" * 60 + "b") == []
    for field in ("name", "search"):
        with pytest.raises(InvalidRequest, match=f"{field} has 129 characters; give at most 128"):
            listed(ctx, **{field: "a" * 129})


def test_sdk_can_hold_what_lists_and_get_show(ctx: Context) -> None:
    """The SDK turns each listed model into a dict, back into a message, and sends that with each prediction."""
    cats_and_dogs(ctx)
    make_model(ctx)
    results = {"metrics": {"accuracy": 0.9, "macro_f1": None}, "skipped": [{"id": "x", "reason": "r"}]}
    finish_training(ctx, post(ctx, training()).model_version.id, results)
    sdk = SdkModel.__new__(SdkModel)
    as_dict = MessageToDict(get(ctx, "m"), preserving_proto_field_name=True)
    cooked = sdk.process_response_keys(as_dict, "model")
    again = resources_pb2.Model()
    dict_to_protobuf(again, {**cooked, "id": "m"})
    assert again.model_version.status.code == 21100
    assert again.output_info.params["max_concepts"] == 20


def test_patch_merges_overwrites_and_removes(ctx: Context) -> None:
    make_model(ctx)

    def patch(action: str, **fields: object) -> resources_pb2.Model:
        model = resources_pb2.Model(id="m", **fields)
        request = service_pb2.PatchModelsRequest(user_app_id=IN_APP, models=[model], action=action)
        return PatchModels(ctx, request).models[0]

    assert patch("merge", description="first", notes="kept").description == "first"
    both = patch("overwrite", description="second")
    assert (both.description, both.notes) == ("second", "kept")
    assert patch("remove", notes="kept").notes == ""
    assert patch("merge", model_type_id="visual-classifier").model_type_id == "visual-classifier"
    with pytest.raises(InvalidModel):
        patch("merge", model_type_id="visual-detector")
    with pytest.raises(InvalidRequest, match="bogus"):
        patch("bogus")


def test_bad_I9_two_patches_at_once_lose_no_field(ctx: Context) -> None:
    make_model(ctx)

    def patch(**fields: str) -> None:
        for _ in range(5):
            request = service_pb2.PatchModelsRequest(
                user_app_id=IN_APP, models=[resources_pb2.Model(id="m", **fields)], action="merge"
            )
            PatchModels(ctx, request)

    threads = [threading.Thread(target=patch, kwargs={name: name}) for name in ("description", "notes", "name")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    model = get(ctx, "m")
    assert (model.description, model.notes, model.name) == ("description", "notes", "name")


def test_bad_B9_deleting_twice(ctx: Context) -> None:
    make_model(ctx)
    request = service_pb2.DeleteModelRequest(user_app_id=IN_APP, model_id="m")
    DeleteModel(ctx, request)
    with pytest.raises(ModelDoesNotExist):
        DeleteModel(ctx, request)


def test_delete_many_is_all_or_nothing(ctx: Context) -> None:
    for id in ("a", "b"):
        make_model(ctx, id)

    def delete(*ids: str) -> None:
        DeleteModels(ctx, service_pb2.DeleteModelsRequest(user_app_id=IN_APP, ids=ids))

    with pytest.raises(ModelDoesNotExist):
        delete("a", "nonsense")
    delete()
    assert listed(ctx) == ["a", "b"]
    delete("a", "b")
    assert listed(ctx) == []


def test_bad_B15_too_many_ids(ctx: Context) -> None:
    with pytest.raises(InvalidRequest):
        DeleteModels(ctx, service_pb2.DeleteModelsRequest(user_app_id=IN_APP, ids=[str(n) for n in range(129)]))


def test_bad_I6_a_model_that_trains_is_not_deleted(ctx: Context) -> None:
    cats_and_dogs(ctx)
    make_model(ctx)
    version = post(ctx, training()).model_version.id
    claimed = jobs.claim(ctx.database, "w", "training")
    assert claimed is not None
    with ctx.database.write() as connection:
        versions.to_training(connection, row_of(ctx, version).seq, run_folder=version, details="")
    request = service_pb2.DeleteModelRequest(user_app_id=IN_APP, model_id="m")
    with pytest.raises(JobConflict, match=version) as raised:
        DeleteModel(ctx, request)
    assert isinstance(raised.value, LuthierError) and raised.value.code == 64007
    with ctx.database.write() as connection:
        jobs.finish(connection, claimed)
    DeleteModel(ctx, request)
    assert listed(ctx) == []


def test_deleting_a_model_cancels_what_waits(ctx: Context) -> None:
    cats_and_dogs(ctx)
    make_model(ctx)
    post(ctx, training())
    DeleteModel(ctx, service_pb2.DeleteModelRequest(user_app_id=IN_APP, model_id="m"))
    assert jobs.claim(ctx.database, "w", "training") is None
