"""`luthier import`: data straight into the data folder, every item accepted or listed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from luthier.commands import import_data
from luthier.commands.command_line import run
from luthier.errors import DiskFull
from luthier.store import imports
from luthier.store.database import Database
from tests.data.layouts import picture
from tests.data.test_archives import REFUSED, zipped


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Database]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUTHIER_DATA_DIR", str(tmp_path / "data"))
    assert run(["token", "create"]) == 0
    capsys.readouterr()
    database = Database.at(tmp_path / "data" / "luthier.db")
    yield database
    database.close()


def pictures(folder: Path) -> Path:
    for label in ("cats", "dogs"):
        for number in range(2):
            picture(folder / label / f"{number}.png")
    return folder


def imported(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    assert run(["import", "--json", *arguments]) == status, capsys.readouterr().err
    told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["total"] == told["made"] + told["present"] + told["rejected"]
    return told


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    assert run(["import", *arguments]) == status
    return " ".join(capsys.readouterr().err.split())


def test_a_folder_goes_in_and_again_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "pets")
    (folder / "cats" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    told = imported(capsys, str(folder), "--app", "pets", "--dataset", "all", "--create")
    assert (told["total"], told["made"], told["rejected"]) == (5, 4, 1)
    assert told["items"][0]["name"] == "cats/broken.png" and told["items"][0]["status"] == 47104
    again = imported(capsys, "pets", "--app", "pets", "--dataset", "all")
    assert (again["made"], again["present"], again["rejected"]) == (0, 4, 1)


def test_what_people_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "pets")
    (folder / "notes.txt").write_text(" ")
    assert run(["import", str(folder), "--app", "pets", "--create"]) == 0
    said = capsys.readouterr().out
    assert "5 items, 4 new inputs" in said
    assert "Not used: 1 file" in said and "notes.txt: the text is empty" in said


def test_columns_of_a_table_beside_its_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path)
    (tmp_path / "mine.csv").write_text("file,kind\ncats/0.png,cat\ndogs/1.png,dog\n")
    columns = ("--columns", "image=file", "--columns", "label=kind")
    assert imported(capsys, "mine.csv", "--app", "a", "--create", *columns)["made"] == 2
    (tmp_path / "bad.csv").write_text("text,label\nx,y\nz\n")
    assert "bad.csv: 1 rows cannot be read. row 3: it has 1 cells" in refused(capsys, "bad.csv", "--app", "a")
    told = imported(capsys, "bad.csv", "--app", "a", "--keep-good")
    assert (told["made"], told["items"][0]["name"]) == (1, "row 3")


def test_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"cats/1.png": picture(tmp_path / "1.png").read_bytes()}))
    assert imported(capsys, "a.zip", "--app", "a", "--create")["made"] == 1
    (tmp_path / "evil.zip").write_bytes(REFUSED["zip slip"][0])
    assert "Archive cannot be unpacked: entry '../../evil'" in refused(capsys, "evil.zip", "--app", "a")
    assert not list((tmp_path / "data").glob("import-*"))


def test_skip_existing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("inputid,text,label\n1,x,y\n")
    imported(capsys, "a.csv", "--app", "a", "--create")
    (tmp_path / "a.csv").write_text("inputid,text,label\n1,other,y\n")
    told = imported(capsys, "a.csv", "--app", "a", status=1)
    assert told["rejected"] == 1 and told["items"][0]["status"] == 30100
    assert imported(capsys, "a.csv", "--app", "a", "--skip-existing")["present"] == 1


def test_what_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path / "pets")
    assert "none: there is no file and no folder of this name" in refused(capsys, "none", "--app", "a")
    assert "--app a: user" in refused(capsys, "pets", "--app", "a")
    assert "--user bob: there is no such user" in refused(capsys, "pets", "--app", "a", "--user", "bob")
    imported(capsys, "pets", "--app", "a", "--create")
    assert "--dataset d: app a has no such dataset; --create makes it" in refused(
        capsys, "pets", "--app", "a", "--dataset", "d"
    )
    assert "--dataset is" in refused(capsys, "pets", "--app", "a", "--dataset", "a b", "--create")
    run(["token", "create", "--user", "bob", "--new-user"])
    assert "--user is missing and there are several" in refused(capsys, "pets", "--app", "a")


def test_a_command_that_is_stopped_leaves_a_cancelled_import(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    def stopped(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_data, "bring_in", stopped)
    pictures(tmp_path / "pets")
    assert run(["import", "pets", "--app", "a", "--create"]) == 130
    assert _last(database).status == 64004

    def full(*given: Any) -> None:
        raise DiskFull("no room")

    monkeypatch.setattr(import_data, "bring_in", full)
    assert "no room" in refused(capsys, "pets", "--app", "a", status=1)
    assert (_last(database).status, _last(database).details) == (64003, "no room")


def test_one_that_was_killed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path / "pets")
    imported(capsys, "pets", "--app", "a", "--create")
    one = _last(database)
    with database.write() as connection:
        killed = imports.add(connection, one.app, "killed", one.input_job, None, one.request)
        imports.begin(connection, killed.seq)
        imports.abandon(connection, before=1.0)
    assert _last(database).status == 64001
    with database.write() as connection:
        imports.abandon(connection, before=1e12)
    assert _last(database).status == 64003


def _last(database: Database) -> imports.Import:
    with database.read() as connection:
        return imports.page(connection, 1, 0, 100)[-1]
