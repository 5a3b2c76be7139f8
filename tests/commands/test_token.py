"""The life of a token on the command line: made, listed, resolved, revoked."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from luthier.commands.command_line import run
from luthier.store import tokens
from luthier.store.database import Database


@pytest.fixture(autouse=True)
def data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUTHIER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def create(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, str]:
    assert run(["token", "create", "--json", *options]) == 0
    made: dict[str, str] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return made


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert run(["token", "list", "--json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def resolved(data_dir: Path, token: str) -> tokens.TokenRow | None:
    database = Database.at(data_dir / "luthier.db")
    try:
        with database.read() as connection:
            return tokens.resolve(connection, token)
    finally:
        database.close()


def test_the_last_line_of_json_is_user_and_token(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    made = create(capsys)
    assert set(made) == {"user_id", "token"}
    assert made["token"].startswith("luth_pat_")
    row = resolved(data_dir, made["token"])
    assert row is not None
    assert (row.user_id, row.scopes, row.expires_at) == (made["user_id"], ["All"], None)


def test_a_token_is_nowhere_in_the_data_folder(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    token = create(capsys)["token"]
    kept = b"".join(path.read_bytes() for path in data_dir.rglob("*") if path.is_file())
    assert len(kept) > 10_000
    assert token.encode() not in kept


def test_list_shows_state_scopes_and_no_token(capsys: pytest.CaptureFixture[str]) -> None:
    made = create(capsys, "--scopes", "Models_Get, Predict", "--expires", "30d", "--description", "laptop")
    (row,) = listed(capsys)
    assert row["scopes"] == ["Models_Get", "Predict"]
    assert row["description"] == "laptop"
    assert row["state"].startswith("valid until ")
    assert made["token"] not in json.dumps(row)
    assert made["token"].startswith(row["prefix"])


@pytest.mark.parametrize("by", ["id", "token"])
def test_revoke_is_in_force_at_once(by: str, capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    made = create(capsys)
    name = made["token"] if by == "token" else listed(capsys)[0]["id"]
    assert run(["token", "revoke", name]) == 0
    assert made["token"] not in capsys.readouterr().out
    row = resolved(data_dir, made["token"])
    assert row is not None
    assert row.revoked_at is not None
    assert listed(capsys)[0]["state"].startswith("revoked")


def test_a_second_user_has_tokens_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    first = create(capsys)["user_id"]
    assert create(capsys, "--user", "ann", "--new-user")["user_id"] == "ann"
    assert create(capsys, "--user", "ann")["user_id"] == "ann"
    assert {row["user_id"] for row in listed(capsys)} == {first, "ann"}
    assert run(["token", "create"]) == 2
    assert re.search(f"several: {first}, ann", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--scopes", "Models_Gett"], "near: Models_Get"),
        (["--scopes", ","], "--scopes is empty"),
        (["--expires", "soon"], "give a time such as 12h"),
        (["--expires", "2020-01-01"], "that has passed"),
        (["--user", "nobody"], "there is no such user"),
        (["--new-user"], "give the new user an id"),
        (["--user", "a/b", "--new-user"], "give the new user an id"),
        (["--app", "none"], "has no such app"),
    ],
)
def test_bad_options_are_named(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    create(capsys)
    assert run(["token", "create", *options]) == 2
    assert says in capsys.readouterr().err
    assert len(listed(capsys)) == 1


def test_list_without_a_data_folder_makes_none(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    assert run(["token", "list"]) == 2
    assert "no database in the data folder" in capsys.readouterr().err
    assert not data_dir.exists()


def test_migrate_twice_does_nothing_the_second_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate"]) == 0
    assert "from an empty database to" in capsys.readouterr().out
    assert run(["migrate"]) == 0
    assert "nothing to do" in capsys.readouterr().out
