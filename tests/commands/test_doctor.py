"""`luthier doctor`: each finding with a verdict and, unless all is well, a remedy."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from luthier.commands import doctor_checks, file_systems
from luthier.commands.command_line import run

CPU = {"id": "cpu", "name": "a processor", "bf16": False, "memory_mb": 0}
GPU = {"id": "cuda:0", "name": "NVIDIA H100", "bf16": True, "memory_mb": 81920}
ENGINE = {"torch": "2.15.0", "devices": [CPU], "threads": 2}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUTHIER_DATA_DIR", str(tmp_path / "data"))


def doctor(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    status = run(["doctor", "--json"])
    return status, {row["subject"]: row for row in json.loads(capsys.readouterr().out)}


def test_this_machine_is_fit(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = doctor(capsys)
    assert set(found) == {
        "python",
        "torch",
        "devices",
        "bf16",
        "weights",
        "disk",
        "file system",
        "database",
        "addresses",
    }
    assert found["torch"]["verdict"] == "ok"
    assert "2." in found["torch"]["says"]
    assert all(row["remedy"] for row in found.values() if row["verdict"] != "ok")
    assert status == (1 if any(row["verdict"] == "fail" for row in found.values()) else 0)


def test_a_network_file_system_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor_checks, "_engine_facts", lambda: ENGINE)
    monkeypatch.setattr(file_systems, "kind_of", lambda path: "nfs4")
    status, found = doctor(capsys)
    assert status == 1
    assert found["file system"]["verdict"] == "fail"
    assert "nfs4" in found["file system"]["says"]
    assert "LUTHIER_DATA_DIR" in found["file system"]["remedy"]


def test_commands_that_open_the_database_refuse_a_network_file_system(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(file_systems, "kind_of", lambda path: "cifs")
    for command in (["token", "create"], ["serve"], ["migrate"]):
        assert run(command) == 2
        assert "network file system (cifs)" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_an_accelerator_and_its_bf16_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_checks, "_engine_facts", lambda: ENGINE | {"devices": [CPU, GPU]})
    _, found = doctor(capsys)
    assert (found["devices"]["verdict"], found["bf16"]["verdict"]) == ("ok", "ok")
    assert "NVIDIA H100 (cuda:0, 80 GB)" in found["devices"]["says"]


def test_a_full_disk_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor_checks, "_engine_facts", lambda: ENGINE)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 100 * 2**20))  # type: ignore[attr-defined]
    status, found = doctor(capsys)
    assert (status, found["disk"]["verdict"]) == (1, "fail")


def test_a_torch_that_does_not_start_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor_checks, "_engine_facts", lambda: {"error": "libtorch.so: not found"})
    assert run(["doctor"]) == 1
    assert "fail  torch: libtorch.so: not found\n      → install" in capsys.readouterr().out


def test_addresses_beyond_this_machine_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_checks, "_engine_facts", lambda: ENGINE)
    monkeypatch.setenv("LUTHIER_HTTP_ADDRESS", "0.0.0.0:8080")
    _, found = doctor(capsys)
    assert found["addresses"]["verdict"] == "warn"
    assert "0.0.0.0:8080" in found["addresses"]["says"]


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.3.4.5:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("10.0.0.1:1", False),
        ("[::]:1", False),
    ],
)
def test_loopback(address: str, loopback: bool) -> None:
    assert doctor_checks.is_loopback(address) is loopback


def test_the_deepest_mount_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts = [(Path("/"), "ext4"), (tmp_path, "nfs"), (tmp_path / "a", "ext4"), (tmp_path / "a", "fuse.sshfs")]
    monkeypatch.setattr(file_systems, "_linux_mounts", lambda: mounts)
    monkeypatch.setattr(file_systems, "_bsd_mounts", lambda: mounts)
    (tmp_path / "a").mkdir()
    assert file_systems.kind_of(tmp_path / "new" / "folder") == "nfs"
    assert file_systems.is_network(file_systems.kind_of(tmp_path / "a" / "data"))


def test_mount_points_with_blanks_are_read(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text("/dev/sda1 / ext4 rw 0 0\nserver:/x /mnt/my\\040disk nfs4 rw 0 0\n")
    assert (Path("/mnt/my disk"), "nfs4") in file_systems._linux_mounts(table)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    assert file_systems.try_writing(tmp_path / "new") == ""
    assert "cannot write" in file_systems.try_writing(Path("/proc/nothing/here"))
