"""Both kinds of database keep the same promises: one moment's state, no lost change, refusals in words."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from luthier.commands.command_line import run
from luthier.errors import DuplicateId, InvalidRange, InvalidRequest, InvalidSettings, TryAgain
from luthier.settings import Settings, load, without_password
from luthier.store import concepts, inputs, models, resources, snapshots, tables, versions
from luthier.store.database import Database
from tests.postgres import Postgres
from tests.worker.world import TIMES, World

SECRET = "hush-hush-4711"


@pytest.fixture
def users(database: Database) -> Database:
    with database.write() as connection:
        connection.execute(insert(tables.users).values(id="ada", message=b"", created_at=1.0))
    return database


# -- which database ----------------------------------------------------------------------------------------------------


def test_without_the_setting_it_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    database = Database.of(Settings(data_dir=tmp_path))
    assert database.local and database.where == str(tmp_path / "luthier.db")


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_the_usual_forms_of_a_url_mean_postgresql(scheme: str) -> None:
    database = Database.of(Settings(database_url=f"{scheme}://ann:{SECRET}@db.example.org:5433/luthier"))
    assert not database.local
    assert database.where == "postgresql+psycopg://ann:***@db.example.org:5433/luthier"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://ann:{SECRET}@host/name",
        f"ann:{SECRET}@host/name",
        f"postgresql+asyncpg://ann:{SECRET}@host/name",
        f"postgresql://ann:{SECRET}@host:many/name",
        f"sqlite:////srv/luthier.db?password={SECRET}",
    ],
)
def test_other_urls_are_refused_without_repeating_the_password(url: str) -> None:
    with pytest.raises(InvalidSettings, match="postgresql\\+psycopg://user:password@host") as caught:
        Database.of(Settings(database_url=url))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{SECRET}@host/name",
        f"postgresql://ann:{SECRET}@@host/name",
        f"postgresql://ann:a/b@{SECRET}@host/name",
        f"postgresql://:{SECRET}@host/name",
        f"postgresql://ann@host/name?sslmode=require&password={SECRET}&application_name=x",
        f"postgresql://host/name?sslpassword={SECRET}",
        SECRET,
    ],
)
def test_no_password_is_ever_shown(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    assert SECRET not in without_password(url)
    monkeypatch.setenv("LUTHIER_DATABASE_URL", url)
    assert SECRET not in repr(load())
    assert run(["settings"]) == run(["settings", "--json"]) == 0
    assert SECRET not in "".join(capsys.readouterr())


def test_a_server_that_is_not_there_is_said_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("LUTHIER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LUTHIER_DATABASE_URL", f"postgresql://ann:{SECRET}@127.0.0.1:1/name")
    for command in (["migrate"], ["token", "list"], ["serve"]):
        assert run(command) == 2
        said = capsys.readouterr().err
        assert "LUTHIER_DATABASE_URL" in said and "refused" in said and SECRET not in said


def test_commands_need_tables_in_it(
    postgres: Postgres, capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("LUTHIER_DATA_DIR", str(tmp_path))
    with postgres.bare() as url:
        monkeypatch.setenv("LUTHIER_DATABASE_URL", url)
        assert run(["token", "list"]) == 2
        assert "`luthier migrate` makes them" in capsys.readouterr().err
        assert run(["migrate"]) == run(["token", "create"]) == run(["token", "list"]) == 0
    assert not list(tmp_path.glob("luthier.db*"))


# -- what cannot be kept -----------------------------------------------------------------------------------------------


def test_bad_E3_a_nul_in_an_id_is_kept_or_refused_in_words(database: Database, users: Database) -> None:
    if database.local:
        with database.write() as connection:
            resources.add(connection, tables.apps, 1, [("a\0b", b"")])
            assert resources.find(connection, tables.apps, 1, "a\0b")
        return
    with pytest.raises(InvalidRequest, match=r"U\+0000"), database.write() as connection:
        resources.add(connection, tables.apps, 1, [("a\0b", b"")])
    with pytest.raises(InvalidRequest, match=r"U\+0000"), database.read() as connection:
        resources.find(connection, tables.apps, 1, "a\0b")


def test_bad_E3_a_nul_in_a_message_or_an_explanation_harms_nothing(world: World) -> None:
    with world.database.write() as connection:
        seq = versions.create(connection, world.model, "v", b"a\0b", status=21103, request={"given": "a\0b"})
        assert versions.to_failed(connection, seq, "broken by \0", {"skipped": "a\0b"})
    version = world.version(seq)
    assert (version.message, version.request["given"]) == (b"a\0b", "a\0b")
    assert version.details == "broken by \u2400" and version.results == {"skipped": "a\0b"}


def test_numbers_beyond_any_list_find_nothing_or_are_refused(world: World) -> None:
    with world.database.read() as connection:
        assert inputs.page(connection, world.app, 2**31 - 1, 1000) == []
        assert models.page(connection, world.user, 2**31 - 1, 1000, models.Wanted()) == []
    try:
        with world.database.read() as connection:
            assert inputs.page(connection, world.app, 0, 1, status=2**40) == []
    except InvalidRange as error:
        assert "larger" in error.details


# -- several at once ---------------------------------------------------------------------------------------------------


def at_once(number: int, call: Any) -> list[Any]:
    """What `call` of 0, 1, … gave or raised, all begun at the same moment."""
    gate = threading.Barrier(number)

    def one(index: int) -> Any:
        gate.wait()
        try:
            return call(index)
        except Exception as error:
            return error

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_bad_B7_the_same_app_and_user_at_once(users: Database) -> None:
    def add(_index: int) -> str:
        with users.write() as connection:
            return resources.add(connection, tables.apps, 1, [("one", b"")])[0].id

    answers = at_once(12, add)
    assert answers.count("one") == 1
    assert all(isinstance(answer, DuplicateId) for answer in answers if answer != "one"), answers


def test_bad_B7_labels_name_the_same_new_concepts_at_once(world: World) -> None:
    names = {f"c{number}": f"name {number}" for number in range(20)}

    def label(_index: int) -> dict[str, int]:
        with world.database.write() as connection:
            return concepts.seqs_made(connection, world.app, names)

    answers = at_once(8, label)
    assert all(answer == answers[0] and len(answer) == 20 for answer in answers), answers


def test_bad_I9_changes_of_one_model_at_once_are_all_kept(world: World) -> None:
    def grow(index: int) -> None:
        with world.database.write() as connection:
            model = models.find(connection, "ada", "shop", "clf")
            assert model is not None
            models.set_message(connection, model.seq, model.message + bytes([index]))

    at_once(12, grow)
    with world.database.read() as connection:
        model = models.find(connection, "ada", "shop", "clf")
    assert model is not None and sorted(model.message) == list(range(12))


def test_writers_of_two_apps_that_meet_crosswise_are_told_to_try_again(world: World) -> None:
    with world.database.write() as connection:
        connection.execute(insert(tables.apps).values(user=world.user, id="other", message=b"", **TIMES))
    gate = threading.Barrier(2, timeout=1)

    def write(index: int) -> str:
        first, second = ("shop", "other") if index else ("other", "shop")
        with world.database.write() as connection:
            resources.find_app(connection, "ada", first)
            if not world.database.local:
                gate.wait()
            resources.find_app(connection, "ada", second)
        return "done"

    answers = at_once(2, write)
    if world.database.local:
        assert answers == ["done", "done"]
    else:
        assert answers.count("done") == 1 and any(isinstance(answer, TryAgain) for answer in answers), answers


def test_a_reference_to_what_is_gone_is_no_internal_error(world: World) -> None:
    if world.database.local:
        return  # one writer at a time: nothing can go between a look and a write
    with pytest.raises(TryAgain, match="deleted"), world.database.write() as connection:
        models.add(connection, 4711, "m", "visual-classifier", b"")


def test_a_read_sees_one_moments_state(world: World) -> None:
    world.add_inputs([("cat", bytes([number])) for number in range(3)])
    version = world.add_dataset_version()
    with world.database.read() as connection:
        frozen = snapshots.by_seq(connection, version)
        assert frozen is not None
        seen = snapshots.members(connection, frozen, [])
        first = next(seen)
        world.add_inputs([("dog", b"later")])
        with world.database.write() as other:
            other.execute(update(tables.inputs).values(status=30104))
        assert [first.status, *(member.status for member in seen)] == [30000] * 3
        assert len(connection.execute(select(tables.inputs.c.seq)).all()) == 3


def test_names_are_sorted_and_found_the_same_way(users: Database) -> None:
    with users.write() as connection:
        resources.add(connection, tables.apps, 1, [(id, b"") for id in ("b", "B", "a-1", "a_1", "A1", "_")])

    def listed(**wanted: Any) -> list[str]:
        with users.read() as connection:
            return [row.id for row in resources.page(connection, tables.apps, 1, 0, 10, resources.Wanted(**wanted))]

    assert listed(order="id") == ["A1", "B", "_", "a-1", "a_1", "b"]
    assert listed(order="id", id_pattern="A*1") == ["A1", "a-1", "a_1"]
    assert listed(order="id", contains="A_") == ["a_1"]
