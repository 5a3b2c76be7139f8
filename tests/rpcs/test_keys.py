"""Keys over the wire: made once, listed without their text, revoked; never more rights than their maker's."""

import time
from dataclasses import replace

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from luthier.errors import DoesNotExist, InsufficientScopes, InvalidRequest
from luthier.rpcs.context import Context
from luthier.rpcs.keys import DeleteKey, ListAppKeys, ListKeys, PostKeys
from luthier.rpcs.scopes import ListScopes
from luthier.store import tokens
from tests.rpcs.conftest import caller, make_user

App = resources_pb2.UserAppIDSet
Key = resources_pb2.Key


def make(ctx: Context, **fields: object) -> Key:
    return PostKeys(ctx, service_pb2.PostKeysRequest(keys=[Key(**{"scopes": ["All"], **fields})])).keys[0]


def listed(ctx: Context, **request: object) -> list[Key]:
    return list(ListKeys(ctx, service_pb2.ListKeysRequest(**request)).keys)


def delete(ctx: Context, id: str) -> None:
    DeleteKey(ctx, service_pb2.DeleteKeyRequest(key_id=id))


def at(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(time.time() + seconds))


def test_a_new_key_works_and_is_shown_once(ctx: Context) -> None:
    made = make(ctx, description="laptop", scopes=["Models_Get", "Predict"], expires_at=at(3600))
    with ctx.database.read() as connection:
        row = tokens.resolve(connection, made.id)
    assert row and row.user_id == "ann" and row.scopes == ["Models_Get", "Predict"]
    (shown,) = listed(ctx)
    assert (shown.description, list(shown.scopes), shown.type) == ("laptop", made.scopes, "personal_access_token")
    assert shown.id == row.id and made.id not in str(shown)
    assert shown.expires_at.seconds == made.expires_at.seconds and shown.created_at.seconds


def test_a_key_of_one_app(ctx: Context, in_app: App) -> None:
    make(ctx)
    made = make(ctx, type="app_specific_key", apps=[resources_pb2.App(id="pets")])
    assert made.apps[0].id == "pets"
    assert [key.apps[0].id for key in ListAppKeys(ctx, service_pb2.ListAppKeysRequest(user_app_id=in_app)).keys] == [
        "pets"
    ]
    assert len(listed(ctx)) == 2 and len(listed(ctx, type="app_specific_key")) == 1
    with pytest.raises(DoesNotExist):
        make(ctx, apps=[resources_pb2.App(id="others")])


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"scopes": []}, "scopes is empty"),
        ({"scopes": ["Models_get"]}, "near: .*Models_Get"),
        ({"scopes": ["undef"]}, "no scope"),
        ({"expires_at": Timestamp(seconds=1)}, "in the past"),
        ({"expires_at": Timestamp(seconds=253_402_300_800)}, "after the year 9999"),
        ({"type": "password"}, "password"),
        ({"type": "app_specific_key"}, "exactly one"),
        ({"endpoints": ["/x"]}, "endpoints is not served"),
        ({"description": "x" * 1001}, "at most 1000"),
    ],
)
def test_keys_that_cannot_be_made(ctx: Context, fields: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidRequest, match=word):
        make(ctx, **fields)
    assert listed(ctx) == []


def test_no_token_makes_one_that_may_do_more(ctx: Context) -> None:
    narrow = replace(ctx, caller=replace(ctx.caller, scopes=frozenset({"Keys_Add", "Keys_Get", "Apps_Get"})))
    assert make(narrow, scopes=["Keys_Get"]).id
    for scopes in (["All"], ["Keys_Get", "Models_Train"]):
        with pytest.raises(InsufficientScopes, match=scopes[-1]):
            make(narrow, scopes=scopes)


def test_bad_A16_the_last_token_with_all_scopes_stays(ctx: Context) -> None:
    make(ctx, scopes=["Models_Get"])
    make(ctx, expires_at=at(3600))
    whole = listed(ctx)[1].id
    with pytest.raises(InvalidRequest, match="luthier token create"):
        delete(ctx, whole)
    make(ctx)
    delete(ctx, whole)
    assert whole not in [key.id for key in listed(ctx)]
    delete(ctx, listed(ctx)[0].id)  # one with fewer scopes is nobody's last way in


def test_a_deleted_key_is_refused_from_then_on(ctx: Context) -> None:
    make(ctx)
    made = make(ctx)
    delete(ctx, made.id)  # by the token itself, as clients do that keep nothing else
    with ctx.database.read() as connection:
        row = tokens.resolve(connection, made.id)
    assert row and row.revoked_at is not None
    for id in (made.id, "nothing"):
        with pytest.raises(DoesNotExist):
            delete(ctx, id)
    with pytest.raises(InvalidRequest):
        delete(ctx, "")


def test_bad_A7_keys_of_another_user_do_not_exist(ctx: Context) -> None:
    make(ctx)
    make(ctx)
    bob = replace(ctx, caller=caller(make_user(ctx.database, "bob"), "bob"))
    assert listed(bob) == []
    with pytest.raises(DoesNotExist):
        delete(bob, listed(ctx)[0].id)
    with pytest.raises(DoesNotExist):
        listed(bob, user_app_id=App(user_id="ann"))


def test_lists_can_be_narrowed_and_paged(ctx: Context) -> None:
    for scope in ("Predict", "Models_Get", "Predict"):
        make(ctx, scopes=[scope], description=scope)
    assert [key.description for key in listed(ctx, scopes=["Predict"])] == ["Predict", "Predict"]
    assert [key.description for key in listed(ctx, page=2, per_page=1, not_expired=True)] == ["Models_Get"]
    assert listed(ctx, page=9) == []


def test_scopes_name_those_they_need(ctx: Context) -> None:
    found = {
        one.scope: set(one.depending_scopes) for one in ListScopes(ctx, service_pb2.ListScopesRequest()).scope_deps
    }
    assert found["Inputs_Add"] == {"Inputs_Get"} and found["Predict"] == set() and "All" in found
