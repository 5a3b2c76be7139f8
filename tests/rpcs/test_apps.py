"""Users and apps: create, read, list, patch, delete."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from luthier.errors import DoesNotExist, DuplicateId, InsufficientScopes, InvalidRange, InvalidRequest, LuthierError
from luthier.rpcs.apps import DeleteApp, GetApp, ListApps, PatchApp, PatchApps, PostApps
from luthier.rpcs.context import Context
from luthier.rpcs.users import GetUser, MyScopes
from tests.rpcs.conftest import caller, make_user

ME = resources_pb2.UserAppIDSet(user_id="me")


def post(ctx: Context, *apps: resources_pb2.App) -> service_pb2.MultiAppResponse:
    return PostApps(ctx, service_pb2.PostAppsRequest(user_app_id=ME, apps=apps))


def in_app(id: str, user: str = "me") -> resources_pb2.UserAppIDSet:
    return resources_pb2.UserAppIDSet(user_id=user, app_id=id)


def get(ctx: Context, id: str) -> resources_pb2.App:
    return GetApp(ctx, service_pb2.GetAppRequest(user_app_id=in_app(id))).app


def listed(ctx: Context, **request: object) -> list[str]:
    return [app.id for app in ListApps(ctx, service_pb2.ListAppsRequest(user_app_id=ME, **request)).apps]


def test_the_user_is_found_as_me_and_by_id(bare: Context) -> None:
    for name in ("me", "", "ann"):
        user = GetUser(bare, service_pb2.GetUserRequest(user_app_id=resources_pb2.UserAppIDSet(user_id=name))).user
        assert user.id == "ann"
        assert user.created_at.seconds > 1_600_000_000


def test_another_user_does_not_exist(bare: Context) -> None:
    make_user(bare.database, "bob")
    with pytest.raises(DoesNotExist):
        GetUser(bare, service_pb2.GetUserRequest(user_app_id=resources_pb2.UserAppIDSet(user_id="bob")))


def test_my_scopes(ctx: Context) -> None:
    answer = MyScopes(ctx, service_pb2.MyScopesRequest(user_app_id=in_app("pets")))
    assert list(answer.scopes) == ["All"]
    assert answer.app.id == "pets"


def test_an_app_is_made_and_read_back(bare: Context) -> None:
    workflow = resources_pb2.Workflow(id="Universal", app_id="main", user_id="clarifai")
    made = post(bare, resources_pb2.App(id="pets", description="dogs and cats", default_workflow=workflow)).apps[0]
    assert made == get(bare, "pets")
    assert (made.id, made.name, made.user_id, made.description) == ("pets", "pets", "ann", "dogs and cats")
    assert (made.default_workflow.user_id, made.default_workflow_id) == ("clarifai", "Universal")
    assert made.created_at.seconds == made.modified_at.seconds > 0


def test_a_page_past_the_end_holds_nothing_but_the_status(ctx: Context) -> None:
    answer = ListApps(ctx, service_pb2.ListAppsRequest(user_app_id=ME, page=2))
    assert [field.name for field, _ in answer.ListFields()] in ([], ["status"])


def test_lists_are_filtered_and_sorted(bare: Context) -> None:
    post(bare, *(resources_pb2.App(id=id) for id in ("b-one", "a-two", "B-three", "a_two")))
    assert listed(bare) == ["b-one", "a-two", "B-three", "a_two"]
    assert listed(bare, sort_by_id=True, sort_ascending=True) == ["B-three", "a-two", "a_two", "b-one"]
    assert listed(bare, sort_by_created_at=True)[0] == "a_two"
    assert listed(bare, search="TWO") == ["a-two", "a_two"]
    assert listed(bare, id="a_*") == ["a_two"]


def test_patches_merge_overwrite_and_remove_metadata(ctx: Context) -> None:
    def patch(action: str, metadata: dict[str, object]) -> dict[str, object]:
        change = ParseDict({"id": "pets", "metadata": metadata}, resources_pb2.App())
        request = service_pb2.PatchAppsRequest(user_app_id=ME, apps=[change], action=action)
        return MessageToDict(PatchApps(ctx, request).apps[0].metadata)

    assert patch("merge", {"a": 1, "deep": {"x": 1}}) == {"a": 1, "deep": {"x": 1}}
    assert patch("merge", {"b": "two", "deep": {"y": 2}}) == {"a": 1, "b": "two", "deep": {"x": 1, "y": 2}}
    assert patch("remove", {"a": True, "deep": {"x": 0}}) == {"b": "two", "deep": {"y": 2}}
    assert patch("overwrite", {"c": [1]}) == {"c": [1]}


def test_the_default_workflow_is_patched_as_the_guide_does(ctx: Context) -> None:
    change = resources_pb2.App(id="pets", default_workflow_id="my-flow")
    PatchApps(ctx, service_pb2.PatchAppsRequest(user_app_id=ME, apps=[change], action="overwrite"))
    assert get(ctx, "pets").default_workflow_id == get(ctx, "pets").default_workflow.id == "my-flow"
    change = resources_pb2.App(description="new")
    PatchApp(ctx, service_pb2.PatchAppRequest(user_app_id=in_app("pets"), app=change, action="overwrite"))
    assert (get(ctx, "pets").description, get(ctx, "pets").default_workflow_id) == ("new", "my-flow")


def test_an_app_token_reaches_its_app_alone(ctx: Context) -> None:
    post(ctx, resources_pb2.App(id="other"))
    only = dataclasses.replace(ctx, caller=caller(ctx.caller.user, "ann", app=1))
    assert get(only, "pets").id == "pets"
    assert listed(only) == ["pets"]
    with pytest.raises(DoesNotExist):
        get(only, "other")
    with pytest.raises(InsufficientScopes):
        post(only, resources_pb2.App(id="third"))


def test_an_app_of_another_user_does_not_exist(ctx: Context) -> None:
    bob = dataclasses.replace(ctx, caller=caller(make_user(ctx.database, "bob"), "bob"))
    for user in ("me", "bob", "ann"):
        with pytest.raises(DoesNotExist):
            GetApp(bob, service_pb2.GetAppRequest(user_app_id=in_app("pets", user)))
    assert listed(bob) == []
    post(bob, resources_pb2.App(id="pets"))  # ids are per user
    assert listed(bob) == listed(ctx) == ["pets"]


def test_bad_B1_an_empty_id_is_made_on_create_and_refused_on_get(bare: Context) -> None:
    assert len(post(bare, resources_pb2.App()).apps[0].id) == 32
    with pytest.raises(InvalidRequest):
        get(bare, "")


@pytest.mark.parametrize(
    "id",
    [
        "../../etc/passwd",
        "..%2f",
        "%2e%2e",
        "a/b",
        "a\\b",
        "C:\\x",
        ".",
        "..",
        "-a",
        "a\x00",
        "a\n",
        "\u202ea",
        "a\u200b",
        "１２",
        "😀",
        "é",
    ],
)
def test_bad_B2_B3_ids_that_are_refused(bare: Context, id: str) -> None:
    with pytest.raises(InvalidRequest):
        post(bare, resources_pb2.App(id=id))
    assert listed(bare) == []


@pytest.mark.parametrize("length", [129, 10_000, 1_000_000])
def test_bad_B4_long_ids_are_refused_and_not_echoed_whole(bare: Context, length: int) -> None:
    with pytest.raises(InvalidRequest) as error:
        post(bare, resources_pb2.App(id="a" * length))
    assert len(error.value.details) < 300


def test_bad_B5_ids_that_differ_in_case_are_two(bare: Context) -> None:
    post(bare, resources_pb2.App(id="pets"), resources_pb2.App(id="Pets"))
    assert get(bare, "Pets").id == "Pets"
    assert listed(bare) == ["pets", "Pets"]


@pytest.mark.parametrize("id", ["versions", "outputs", "time_estimate"])
def test_bad_B6_ids_that_are_verbs_are_data(bare: Context, id: str) -> None:
    assert post(bare, resources_pb2.App(id=id)).apps[0].id == get(bare, id).id == id


def test_bad_B7_the_same_id_fifty_times_at_once(bare: Context) -> None:
    def make(_: int) -> str:
        try:
            return post(bare, resources_pb2.App(id="one")).apps[0].id
        except DuplicateId as error:
            return str(error.code)

    with ThreadPoolExecutor(50) as pool:
        answers = sorted(pool.map(make, range(50)))
    assert answers == ["40010"] * 49 + ["one"]


def test_bad_B8_B9_a_second_delete_finds_nothing(ctx: Context) -> None:
    delete = service_pb2.DeleteAppRequest(user_app_id=in_app("pets"))
    DeleteApp(ctx, delete)
    assert listed(ctx) == []
    for call in (lambda: DeleteApp(ctx, delete), lambda: get(ctx, "pets")):
        with pytest.raises(DoesNotExist):
            call()


def test_bad_B10_page_zero_is_the_default(ctx: Context) -> None:
    assert listed(ctx, page=0, per_page=0) == ["pets"]


@pytest.mark.parametrize("request_fields", [{"page": 2**32 - 1}, {"per_page": 1001}, {"per_page": 2**31}])
def test_bad_B10_B11_pages_out_of_range(ctx: Context, request_fields: dict[str, int]) -> None:
    if "page" in request_fields:
        assert listed(ctx, **request_fields) == []
        return
    with pytest.raises(InvalidRange) as error:
        listed(ctx, **request_fields)
    assert "maximum 1000" in error.value.details


def test_bad_B12_a_page_far_past_the_end_is_empty(ctx: Context) -> None:
    assert listed(ctx, page=2**31, per_page=3) == []


def test_bad_B14_unknown_sort_orders_are_refused(ctx: Context) -> None:
    for wrong in ({"sort_by_name": True}, {"starred_only": True}, {"query": "x"}, {"name": "x"}):
        with pytest.raises(InvalidRequest):
            listed(ctx, **wrong)


def test_bad_B14_a_filter_longer_than_any_id(ctx: Context) -> None:
    for wrong in ({"id": "*" * 60_000}, {"search": "x" * 60_000}):
        with pytest.raises(InvalidRequest):
            listed(ctx, **wrong)


def test_bad_C17_read_only_fields_are_not_stored(bare: Context) -> None:
    app = resources_pb2.App(id="pets", user_id="bob", star_count=7, is_starred=True, data_tier_id="gold")
    app.created_at.seconds = app.modified_at.seconds = 1
    post(bare, app)
    stored = get(bare, "pets")
    assert (stored.user_id, stored.star_count, stored.is_starred, stored.data_tier_id) == ("ann", 0, False, "")
    assert stored.created_at.seconds > 1_600_000_000


def test_bad_C18_unknown_action_and_missing_thing(ctx: Context) -> None:
    def patch(id: str, action: str) -> None:
        request = service_pb2.PatchAppsRequest(user_app_id=ME, apps=[resources_pb2.App(id=id)], action=action)
        PatchApps(ctx, request)

    with pytest.raises(InvalidRequest, match="merge, overwrite, remove"):
        patch("pets", "bogus")
    with pytest.raises(InvalidRequest):
        patch("", "merge")
    for action in ("merge", "overwrite", "remove"):
        with pytest.raises(DoesNotExist):
            patch("nothing", action)


@pytest.mark.parametrize("count", [0, 129])
def test_bad_C20_B15_batches_out_of_range(bare: Context, count: int) -> None:
    with pytest.raises(InvalidRequest, match="1 to 128"):
        post(bare, *(resources_pb2.App() for _ in range(count)))


def deep(levels: int) -> dict[str, object]:
    return {"x": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    "metadata", [{"big": "x" * 65536}, deep(20), {str(n): n for n in range(10_000)}, {"n": float("nan")}]
)
def test_bad_C21_metadata_over_the_caps(bare: Context, metadata: dict[str, object]) -> None:
    struct = Struct()
    struct.update(metadata)
    with pytest.raises(LuthierError) as error:
        post(bare, resources_pb2.App(id="pets", metadata=struct))
    assert error.value.code == 11102


def test_bad_C21_odd_keys_are_data(bare: Context) -> None:
    struct = Struct()
    struct.update({"__proto__": 1, "constructor": {"prototype": "x"}, "": None})
    post(bare, resources_pb2.App(id="pets", metadata=struct))
    assert get(bare, "pets").metadata == struct
