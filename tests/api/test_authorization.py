"""The authorization matrix (P28), from the descriptors: every call against every kind of caller who must not pass.

`world.ENTRIES` tells what asks for Bob's things; a served call without an entry fails here.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from luthier.store import tables, tokens
from luthier.wire.methods import BY_NAME, METHODS, Auth, Method
from tests.api.world import (
    ANN,
    BOB,
    ENTRIES,
    IMAGE,
    JSON,
    MARK,
    MINE,
    SECOND,
    SERVED,
    THEIRS,
    TRAINING,
    Entry,
    World,
    labelled,
    make_world,
    request_of,
)

NOT_THERE = {11101, 21200, 30102}  # codes of a thing that does not exist for this caller
NOBODY = {  # tokens that nobody gets in with, and what they are told
    "none": 11008,
    "malformed": 11008,
    "mistyped": 11008,
    "unknown": 11009,
    "expired": 11001,
    "revoked": 11001,
}

needs_a_token = pytest.mark.parametrize("method", [m for m in METHODS if m.auth is not Auth.NONE], ids=lambda m: m.name)
served = pytest.mark.parametrize("method", SERVED, ids=lambda m: m.name)


class Tokens:
    """Authorization headers of all kinds, on the template world's database."""

    def __init__(self, world: World, keys: dict[str, str]) -> None:
        self._world, self.ann, self.bob = world, f"Key {keys[ANN]}", f"Key {keys[BOB]}"
        self.id_of_bobs_key = keys["bob's other key"]
        with world.database.read() as connection:
            users = dict(connection.execute(select(tables.users.c.id, tables.users.c.seq)).all())
            apps = dict(connection.execute(select(tables.apps.c.id, tables.apps.c.seq)).all())
        self._user = users[BOB]
        unknown, self._unknown_id = self._make(["All"])
        revoked, revoked_id = self._make(["All"])
        with world.database.write() as connection:
            connection.execute(tables.tokens.delete().where(tables.tokens.c.id == self._unknown_id))
            tokens.revoke(connection, revoked_id)
        wrong = keys[BOB][:-1] + ("0" if keys[BOB][-1] != "0" else "1")
        self.of_nobody = {
            "none": None,
            "malformed": "Key nonsense",
            "mistyped": f"Key {wrong}",
            "unknown": f"Key {unknown}",
            "expired": f"Key {self._make(['All'], expires_at=time.time() - 1)[0]}",
            "revoked": f"Key {revoked}",
        }
        self.theirs_alone = f"Key {self._make(['All'], app=apps[THEIRS])[0]}"
        self.second_alone = f"Key {self._make(['All'], app=apps[SECOND])[0]}"
        self._by_scopes: dict[frozenset[str], str] = {}

    def with_scopes(self, scopes: frozenset[str]) -> str:
        if scopes not in self._by_scopes:
            self._by_scopes[scopes] = f"Key {self._make(sorted(scopes))[0]}"
        return self._by_scopes[scopes]

    def _make(self, scopes: list[str], **more: object) -> tuple[str, str]:
        with self._world.database.write() as connection:
            return tokens.make(connection, self._user, description="", scopes=scopes, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Tokens]]:
    world, keys = make_world(tmp_path_factory.mktemp("world"))
    yield world, Tokens(world, keys)
    world.database.close()


@pytest.fixture
def world(template: tuple[World, Tokens], tmp_path: Path) -> Iterator[World]:
    """A world of the test's own: what it changes, no other test sees."""
    own = template[0].copy(tmp_path / "own.db")
    yield own
    own.database.close()


@pytest.fixture
def keys(template: tuple[World, Tokens]) -> Tokens:
    return template[1]


def asking(keys: Tokens, method: Method, user_id: str, app_id: str) -> object:
    entry = ENTRIES[method.name]
    more = {"key_id": keys.id_of_bobs_key} if "key_id" in entry.asks else {}
    return request_of(method, entry, user_id, app_id, **more)


def test_every_served_call_has_an_entry_and_no_other() -> None:
    names = {method.name for method in SERVED}
    missing, stale = names - ENTRIES.keys(), ENTRIES.keys() - names
    assert not missing, f"add to ENTRIES in tests/api/world.py how one asks for Bob's things: {sorted(missing)}"
    assert not stale, f"not served (any more), yet in ENTRIES: {sorted(stale)}"


def test_who_needs_no_token() -> None:
    named = {"ListStatusCodes", "GetStatusCode", "ListOpenSourceLicenses"}
    assert {m.name for m in METHODS if m.auth is Auth.NONE} == named


@needs_a_token
def test_bad_A1_A4_A5_A6_nobody_gets_in(template: tuple[World, Tokens], method: Method) -> None:
    world, keys = template
    for kind, code in NOBODY.items():
        answer = world.ask(method, method.request(), keys.of_nobody[kind])
        assert (answer.code, answer.http_status) == (code, 401), kind
        assert not answer.caller and not answer.message.ListFields()[1:], "nothing but the status"


@needs_a_token
def test_bad_A8_every_single_scope_counts(template: tuple[World, Tokens], method: Method) -> None:
    """A token with all scopes but one is refused, and told which one; so is one that may only read."""
    world, keys = template
    for missing in method.scopes:
        answer = world.ask(method, method.request(), keys.with_scopes(method.scopes - {missing}))
        assert (answer.code, answer.http_status) == (11007, 403)
        assert missing in answer.message.status.details  # type: ignore[attr-defined]
    reads = frozenset(each for each in method.scopes if each.endswith(("_Get", "Predict", "Search")))
    if method.scopes - reads:
        assert world.ask(method, method.request(), keys.with_scopes(reads)).code == 11007


@served
def test_exactly_the_scopes_of_the_wire_suffice(template: tuple[World, Tokens], method: Method) -> None:
    world, keys = template
    if method.auth is not Auth.NONE:
        assert world.ask(method, method.request(), keys.with_scopes(method.scopes)).code != 11007


@served
def test_bad_A7_A9_nobody_reaches_what_is_not_theirs(world: World, keys: Tokens, method: Method) -> None:
    """Another user, a token for another app, under Bob's names and under the caller's own: nothing told or changed."""
    entry, before = ENTRIES[method.name], world.rows()
    if entry.catalog:
        assert MARK not in str(world.ask(method, asking(keys, method, BOB, THEIRS), keys.ann).message)
        return
    stranger = world.ask(method, asking(keys, method, BOB, THEIRS), keys.ann)
    assert stranger.code in NOT_THERE and stranger.http_status == 404, stranger.message
    elsewhere = world.ask(method, asking(keys, method, BOB, THEIRS), keys.second_alone)
    of_the_user = method.auth is not Auth.KEY
    if of_the_user:
        assert (elsewhere.code, elsewhere.http_status) == (11007, 403), elsewhere.message
    else:
        assert elsewhere.code in NOT_THERE and elsewhere.http_status == 404, elsewhere.message
    answers = [
        stranger,
        elsewhere,
        world.ask(method, asking(keys, method, ANN, MINE), keys.ann),
        world.ask(method, asking(keys, method, "me", ""), keys.ann),
        world.ask(method, asking(keys, method, BOB, SECOND), keys.second_alone),
        world.ask(method, asking(keys, method, "me", ""), keys.second_alone),
    ]
    for answer in answers:
        assert answer.http_status < 500 and MARK not in str(answer.message), answer.message
    assert before <= world.rows(), "rows of Bob's were changed"


@served
def test_the_owner_gets_in(world: World, keys: Tokens, method: Method) -> None:
    """Else the refusals above would prove nothing: the same request, by who may send it."""
    entry = ENTRIES[method.name]
    answer = world.ask(method, asking(keys, method, BOB, THEIRS), keys.bob)
    assert answer.code == entry.owner, answer.message


@served
def test_bad_A9_a_token_of_one_app_is_good_for_that_app(world: World, keys: Tokens, method: Method) -> None:
    entry = ENTRIES[method.name]
    answer = world.ask(method, asking(keys, method, BOB, THEIRS), keys.theirs_alone)
    assert answer.code == (entry.owner if method.auth in (Auth.KEY, Auth.NONE) else 11007), answer.message


ANNS = [  # what she needs for her requests to be refused for no other reason
    ("PostModels", {"models": [{"id": "own", "model_type_id": "visual-classifier"}]}),
    ("PostDatasets", {"datasets": [{"id": "own"}]}),
    ("PostInputs", {"inputs": [labelled("mine-1", "cat"), labelled("mine-2", "dog", 5)]}),
]
THERE = {"user_id": BOB, "app_id": THEIRS}
NESTED = [  # requests for Ann's own model and app that name something of Bob's further in
    ("PostModelVersions", {"model_versions": [{"train_info": {"dataset": {"id": "d", **THERE}}}]}),
    ("PostModelVersions", {"model_versions": [{"train_info": {"dataset": {"id": "d", "version": {"id": "dv"}}}}]}),
    ("PostModelVersions", {"model_versions": [{"train_info": {"params": {"dataset_version_id": "dv"}}}]}),
    ("PostModelVersions", {"model_versions": [{"train_info": {"resume_from_model": {"id": "m", **THERE}}}]}),
    ("PostModelVersionsTrainingTimeEstimate", {"model_versions": [{"train_info": {"dataset": {"id": "d", **THERE}}}]}),
    ("PostModelOutputs", {"model": {"id": "m", **THERE}, "version_id": "v"}),
    ("GetModel", {"version_id": "v"}),
    ("PostDatasetInputs", {"search": {"query": {"filters": [{"input": {"dataset_ids": ["d"]}}]}}}),
    ("PostDatasetInputs", {"dataset_inputs": [{"input": {"id": "i1"}}]}),
    ("PostInputs", {"inputs": [{"id": "new", "dataset_ids": ["d"], "data": {"text": {"raw": "x"}}}]}),
    ("PostAnnotations", {"annotations": [{"input_id": "i1", "user_id": BOB, "data": {"concepts": [{"id": "cat"}]}}]}),
    ("PostKeys", {"keys": [{"scopes": ["Predict"], "apps": [{"id": THEIRS, "user_id": BOB}]}]}),
    ("PatchApps", {"action": "merge", "apps": [{"id": THEIRS, "user_id": BOB, "notes": "x"}]}),
]


@pytest.mark.parametrize(("name", "asks"), NESTED, ids=[f"{name}-{n}" for n, (name, _) in enumerate(NESTED)])
def test_bad_A7_what_is_named_further_in_is_judged_too(world: World, keys: Tokens, name: str, asks: JSON) -> None:
    for call, made in ANNS:
        answer = world.ask(BY_NAME[call], request_of(BY_NAME[call], Entry(made), ANN, MINE), keys.ann)
        assert answer.code == 10000, answer.message
    before, method = world.rows(), BY_NAME[name]
    named = {"model_id": "own", "dataset_id": "own", "inputs": [IMAGE]}
    own = {field: value for field, value in named.items() if field in method.request.DESCRIPTOR.fields_by_name}
    if name.startswith("PostModelVersions"):
        (version,) = asks["model_versions"]
        params = {"template": "luthier_tiny_resnet", **version["train_info"].get("params", {})}
        version = {**TRAINING, "train_info": {**version["train_info"], "params": params}}
        asks = {"model_versions": [version]}
    answer = world.ask(method, request_of(method, Entry({**own, **asks}), ANN, MINE), keys.ann)
    assert answer.code in NOT_THERE | {10010}, answer.message
    assert MARK not in str(answer.message) and before <= world.rows()
