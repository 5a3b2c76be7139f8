"""`luthier settings` and where settings come from: environment over file over default."""

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.commands.command_line import run


def settings(capsys: pytest.CaptureFixture[str], *before: str) -> dict[str, dict[str, Any]]:
    assert run([*before, "settings", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "LUTHIER_HTTP_ADDRESS",
        "LUTHIER_SETTINGS",
        "LUTHIER_DATA_DIR",
        "LUTHIER_WEIGHTS_DIR",
        "LUTHIER_OFFLINE",
    ):
        monkeypatch.delenv(name, raising=False)


def test_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    row = settings(capsys)["http_address"]
    assert (row["value"], row["source"], row["variable"]) == ("127.0.0.1:8080", "default", "LUTHIER_HTTP_ADDRESS")


def test_environment_over_file_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "here.toml"
    file.write_text('http_address = "127.0.0.1:1"\noffline = true\n')
    assert settings(capsys, "--settings", str(file))["http_address"]["value"] == "127.0.0.1:1"
    monkeypatch.setenv("LUTHIER_HTTP_ADDRESS", "127.0.0.1:2")
    rows = settings(capsys, "--settings", str(file))
    assert (rows["http_address"]["value"], rows["http_address"]["source"]) == ("127.0.0.1:2", "LUTHIER_HTTP_ADDRESS")
    assert (rows["offline"]["value"], rows["offline"]["source"]) == (True, "file")


def test_the_file_in_the_working_directory_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "luthier.toml").write_text("training_slots = 3\n")
    assert settings(capsys)["training_slots"]["value"] == 3


def test_text_shows_value_source_and_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LUTHIER_OFFLINE", "yes")
    assert run(["settings"]) == 0
    text = capsys.readouterr().out
    assert "LUTHIER_OFFLINE=true  (from the environment)" in text
    assert "never fetch weights from the hub" in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("training_slots = 'many'", "training_slots is 'many'"),
        ("training_slot = 3", "unknown setting 'training_slot'"),
        ("training_slots = ", "luthier.toml"),
        ("training_slots = -1", "not negative"),
    ],
)
def test_a_bad_file_is_refused_by_name(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "luthier.toml").write_text(text)
    assert run(["settings"]) == 2
    assert says in capsys.readouterr().err


def test_a_named_file_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--settings", "other.toml", "settings"]) == 2
    assert "other.toml does not exist" in capsys.readouterr().err
