"""Rows of groups B and C that hold for every call alike, tried on every served call by its descriptor.

What one noun does with good and bad requests of its own is in `tests/rpcs`.
"""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict

from luthier.api.dispatch import Answer
from luthier.wire.methods import BY_NAME, Method
from tests.api.test_authorization import NOT_THERE
from tests.api.world import BOB, ENTRIES, SERVED, THEIRS, Entry, World, make_world, request_of

LONG = ["x" * 129, "y" * 10_000, "z" * 1_000_000]
PATHS = ["../../etc/passwd", "a/b", "a\\b", "C:\\x", ".", ".."]
UNSEEN = [
    "a\0b",
    "a\nb",
    "\u202egnp.exe",
    "a\u200bb",
    "a\u2066b",
    "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace") + "\n",
]
OTHERS = ["..%2f", "%2e%2e", "\U0001f600", "\uff11\uff12", "x' OR 1=1--", " outer space ", "e\u0301"]
ODD = [*PATHS, *UNSEEN, *LONG]  # nothing has such an id; of OTHERS neither, but for inputs and concepts: people's words
LABELLED = {"PostInputs", "PostConcepts"}
NAMED_BY_THE_SERVER = {  # an id that is sent is not taken
    "PostKeys",
    "PostModelVersions",
    "PostModelVersionsTrainingTimeEstimate",
    "PostInputsSearches",
    "PostAnnotationsSearches",
}

# Fields that may be left out: the newest version, or all of them.
OPTIONAL = {"version_id", "model_version_id"}


def those(test: Any) -> pytest.MarkDecorator:
    """Of the served calls those for which `test` holds; that each has an entry is tested with the matrix."""
    found = [method for method in SERVED if method.name in ENTRIES and test(method)]
    return pytest.mark.parametrize("method", found, ids=lambda m: m.name)


served = those(bool)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str, str]]:
    world, keys = make_world(tmp_path_factory.mktemp("world"))
    yield world, f"Key {keys[BOB]}", keys["bob's other key"]
    world.database.close()


class Bob:
    """Asks as the owner of everything, with single fields of his requests changed."""

    def __init__(self, world: World, token: str, key_id: str) -> None:
        self.world, self._token, self._key_id = world, token, key_id

    def asks(self, method: Method) -> dict[str, Any]:
        asks = {**ENTRIES[method.name].asks}
        return {**asks, "key_id": self._key_id} if "key_id" in asks else asks

    def ask(self, method: Method, **changed: Any) -> Answer:
        request = request_of(method, ENTRIES[method.name], BOB, THEIRS, **{**self.asks(method), **changed})
        return self.world.ask(method, request, self._token)


@pytest.fixture
def bob(template: tuple[World, str, str], tmp_path: Path) -> Iterator[Bob]:
    own = template[0].copy(tmp_path / "own.db")
    yield Bob(own, *template[1:])
    own.database.close()


@pytest.fixture
def reader(template: tuple[World, str, str]) -> Bob:
    """For tests whose calls change nothing: on rows that they share."""
    return Bob(*template)


def ids_of(method: Method) -> list[str]:
    """Fields of the entry's request that name one thing each."""
    return [name for name, value in ENTRIES[method.name].asks.items() if name.endswith("id") and isinstance(value, str)]


def lists_of_ids(method: Method) -> list[str]:
    asks = ENTRIES[method.name].asks
    return [name for name in asks if name.endswith("ids") and isinstance(asks[name], list)]


def batch_of(method: Method) -> str:
    """The field that holds several things; "" where a call takes none."""
    asks = ENTRIES[method.name].asks
    return next((name for name, value in asks.items() if isinstance(value, list) and isinstance(value[0], dict)), "")


def words(answer: Answer) -> str:
    return str(answer.message.status.details)  # type: ignore[attr-defined]


def refused(answer: Answer) -> set[int]:
    """The codes that say no: of the call, or of the items of a mixed answer."""
    if answer.code != 10010:
        return {answer.code}
    shape = MessageToDict(answer.message, preserving_proto_field_name=True, use_integers_for_enums=True)
    return set(codes_in({key: value for key, value in shape.items() if key != "status"}))


def codes_in(shape: Any) -> Iterator[int]:
    if isinstance(shape, dict):
        if isinstance(shape.get("status"), dict) and "code" in shape["status"]:
            yield shape["status"]["code"]
        for value in shape.values():
            yield from codes_in(value)
    elif isinstance(shape, list):
        for value in shape:
            yield from codes_in(value)


def check_manners(answer: Answer) -> None:
    """No failure of ours; what was sent is not sent back whole, and nothing unseen stands in the words."""
    assert answer.http_status < 500, words(answer)
    assert len(words(answer)) < 2000
    assert not any(unicodedata.category(each) in {"Cc", "Cf", "Cs"} for each in words(answer))


@those(ids_of)
def test_bad_B1_an_empty_id_names_nothing(bob: Bob, method: Method) -> None:
    for name in ids_of(method):
        answer = bob.ask(method, **{name: ""})
        if name in OPTIONAL and answer.code in (10000, ENTRIES[method.name].owner):
            continue
        assert answer.http_status == 400 and answer.code in (11102, 40001), words(answer)
        assert "empty" in words(answer) or name in words(answer)


@those(ids_of)
def test_bad_B2_B3_B4_B6_odd_ids_find_nothing(bob: Bob, method: Method) -> None:
    before = bob.world.rows()
    for odd in [*ODD, *OTHERS, "versions"]:
        for name in ids_of(method):
            answer = bob.ask(method, **{name: odd})
            check_manners(answer)
            assert answer.http_status in (400, 404), (name, odd[:20])
    assert bob.world.rows() == before


@those(lists_of_ids)
def test_bad_B2_B3_B4_B6_odd_ids_in_lists_find_nothing(bob: Bob, method: Method) -> None:
    before = bob.world.rows()
    for odd in [*ODD, *OTHERS]:
        for name in lists_of_ids(method):
            answer = bob.ask(method, **{name: [odd] * len(ENTRIES[method.name].asks[name])})
            check_manners(answer)
            assert answer.http_status in (400, 404) or method.name.startswith("List"), (name, odd[:20])
    assert bob.world.rows() == before


@those(lambda method: method.name.startswith("Post") and batch_of(method))
def test_bad_B2_B3_B4_odd_ids_are_given_to_nothing(bob: Bob, method: Method) -> None:
    field = batch_of(method)
    item = bob.asks(method)[field][0]
    if "id" not in BY_NAME[method.name].request.DESCRIPTOR.fields_by_name[field].message_type.fields_by_name:
        return
    before = bob.world.rows()
    for odd in [*ODD, *([] if method.name in LABELLED else OTHERS)]:
        answer = bob.ask(method, **{field: [{**item, "id": odd}]})
        check_manners(answer)
        assert method.name in NAMED_BY_THE_SERVER or 10000 not in refused(answer), odd[:20]
    new = bob.world.rows() - before
    assert method.name in NAMED_BY_THE_SERVER or {name for name, _ in new} <= {"input_jobs"}
    assert not any(repr(odd[:200])[1:-1] in text for odd in ODD if len(odd) > 3 for _, text in new)


@those(ids_of)
def test_bad_B8_what_is_not_there_is_404(reader: Bob, method: Method) -> None:
    for name in ids_of(method):
        answer = reader.ask(method, **{name: "nowhere"})
        assert answer.http_status == (400 if name == "status_code_id" else 404), words(answer)
        assert answer.code in NOT_THERE | {11102} and "nowhere" in words(answer)


@those(lambda method: method.name.startswith("Delete"))
def test_bad_B9_a_second_delete_finds_nothing(bob: Bob, method: Method) -> None:
    assert bob.ask(method).code == 10000
    again = bob.ask(method)
    assert again.http_status == 404 and again.code in NOT_THERE, words(again)


def paged(method: Method) -> bool:
    fields = method.request.DESCRIPTOR.fields_by_name
    return "per_page" in fields or "pagination" in fields


def turned_to(bob: Bob, method: Method, **page: int) -> Answer:
    fields = method.request.DESCRIPTOR.fields_by_name
    if "pagination" in fields:
        return bob.ask(method, pagination=page)
    return bob.ask(method, **{name: value for name, value in page.items() if name in fields})


@those(paged)
def test_bad_B10_page_zero_is_the_first(reader: Bob, method: Method) -> None:
    first, zero = turned_to(reader, method, page=1), turned_to(reader, method, page=0, per_page=0)
    for answer in (first, zero):
        assert answer.code == 10000
        answer.message.ClearField("status")
    if method.name != "ListLogEntries":  # whose default is the last page
        assert first.message == zero.message


@those(paged)
def test_bad_B11_per_page_has_a_maximum(reader: Bob, method: Method) -> None:
    for per_page in (1001, 2**31, 2**32 - 1):
        answer = turned_to(reader, method, per_page=per_page)
        assert (answer.code, answer.http_status) == (11105, 400), words(answer)
        assert "maximum 1000" in words(answer)
    assert turned_to(reader, method, per_page=1000).code == 10000


@those(paged)
def test_bad_B12_pages_beyond_the_end_are_empty(reader: Bob, method: Method) -> None:
    for page in (2**31, 2**32 - 1, 1000):
        answer = turned_to(reader, method, page=page, per_page=1000)
        assert answer.code == 10000, words(answer)
        filled = {field.name for field, _ in answer.message.ListFields()}
        assert filled <= {"status", "page", "per_page"} or method.name == "StreamInputs"


def choices(method: Method) -> list[FieldDescriptor]:
    return [field for field in method.request.DESCRIPTOR.fields if field.cpp_type == field.CPPTYPE_BOOL]


@those(choices)
def test_bad_B14_every_flag_is_served_or_refused_by_name(bob: Bob, method: Method) -> None:
    for field in choices(method):
        answer = bob.ask(method, **{field.name: True})
        assert answer.code in (10000, 11102, ENTRIES[method.name].owner), words(answer)
        if answer.code == 11102:
            assert field.name in words(answer)


@those(batch_of)
def test_bad_B15_C20_batches_hold_1_to_128(bob: Bob, method: Method) -> None:
    field = batch_of(method)
    item = bob.asks(method)[field][0]
    before = bob.world.rows()
    for number in (0, 129):
        answer = bob.ask(method, **{field: [item] * number})
        assert answer.http_status == 400 and answer.code in (11102, 40001, 21118), words(answer)
        assert field in words(answer), words(answer)
    assert bob.world.rows() == before


@those(lambda method: method.name.startswith("Delete") and lists_of_ids(method))
def test_bad_B15_at_most_128_are_deleted_at_once(bob: Bob, method: Method) -> None:
    (field, *others) = lists_of_ids(method)
    many = {name: [f"id{number}" for number in range(129)] for name in (field, *others)}
    answer = bob.ask(method, **many)
    assert answer.http_status == 400 and "128" in words(answer), words(answer)


@those(lambda method: "action" in method.request.DESCRIPTOR.fields_by_name)
def test_bad_C18_unknown_actions(bob: Bob, method: Method) -> None:
    before = bob.world.rows()
    for action in ("bogus", "MERGE ", "delete", "x" * 1000):
        answer = bob.ask(method, action=action)
        check_manners(answer)
        assert (answer.code, answer.http_status) == (11102, 400)
        assert "merge" in words(answer) and "overwrite" in words(answer)
    assert bob.world.rows() == before


@served
def test_bad_C16_numbers_that_no_enum_knows(reader: Bob, method: Method) -> None:
    """Over REST the reader refuses them; gRPC carries them to the call, which must not stumble."""
    for field in method.request.DESCRIPTOR.fields:
        if field.enum_type is not None:
            request = request_of(method, ENTRIES[method.name], BOB, THEIRS, **reader.asks(method))
            if field.is_repeated:
                getattr(request, field.name).append(99_999_999)
            else:
                setattr(request, field.name, 99_999_999)
            answer = reader.world.ask(method, request, reader._token)
            check_manners(answer)
            assert answer.http_status == 400, (field.name, answer.code)


@served
def test_bad_C20_an_empty_request_is_answered(reader: Bob, method: Method) -> None:
    answer = reader.world.ask(method, method.request(), reader._token)
    check_manners(answer)


@those(lambda method: ENTRIES[method.name].app and "user_app_id" in method.request.DESCRIPTOR.fields_by_name)
def test_bad_I20_an_app_must_be_named(reader: Bob, method: Method) -> None:
    if ENTRIES[method.name].catalog:
        return
    request = request_of(method, Entry(reader.asks(method)), BOB, "")
    answer = reader.world.ask(method, request, reader._token)
    # of all the user's apps, where none is named
    lists = {"ListModels", "PostModelsSearches", "ListDatasets", "MyScopes", "PatchApp"}
    assert answer.code == 11102 or method.name in lists, words(answer)
