"""Checkpoints are whole or not there; damage of any kind is found before use."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from luthier.engine import checkpoint
from luthier.errors import CorruptFile, DiskFull

Tensors = dict[str, torch.Tensor]


def write(root: Path, step: int, run: str = "r") -> Path:
    place = root / checkpoint.step_name(step)
    tensors = {"weight": torch.full((50, 20), float(step))}
    checkpoint.write(place, {checkpoint.MODEL: tensors, checkpoint.OPTIMIZER: tensors}, {"run": run, "step": step})
    return place


def flip_a_bit(folder: Path) -> None:
    file = folder / checkpoint.MODEL
    data = bytearray(file.read_bytes())
    data[-7] ^= 4
    file.write_bytes(data)


def truncate(folder: Path) -> None:
    file = folder / checkpoint.OPTIMIZER
    file.write_bytes(file.read_bytes()[:-1])


def edit_state(folder: Path) -> None:
    file = folder / checkpoint.STATE
    file.write_text(file.read_text().replace('"step": 2', '"step": 3'))


def delete_manifest(folder: Path) -> None:
    (folder / checkpoint.MANIFEST).unlink()


def delete_model(folder: Path) -> None:
    (folder / checkpoint.MODEL).unlink()


def garble_manifest(folder: Path) -> None:
    (folder / checkpoint.MANIFEST).write_text("[]")


def swap(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name(checkpoint.step_name(1)), folder)


DAMAGES = [flip_a_bit, truncate, edit_state, delete_manifest, delete_model, garble_manifest, swap]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_found_and_the_one_before_is_used(damage: Callable[[Path], None], tmp_path: Path) -> None:
    older, newer = write(tmp_path, 1), write(tmp_path, 2)
    damage(newer)
    with pytest.raises(CorruptFile):
        checkpoint.verify(newer)
    lines: list[str] = []
    found = checkpoint.newest_valid(tmp_path, "r", lines.append)
    assert found and found[0] == older
    assert len(lines) == 1 and "Passed over a checkpoint" in lines[0]


def test_a_checkpoint_of_another_run_is_not_used(tmp_path: Path) -> None:
    write(tmp_path, 1, run="another")
    assert checkpoint.newest_valid(tmp_path, "r", lambda line: None) is None


def test_two_newest_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        write(tmp_path, step)
    checkpoint.remove_old(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000004", "step-00000005"]


def test_a_full_disk_leaves_what_is_there_and_names_path_and_bytes(tmp_path: Path) -> None:
    place = write(tmp_path, 1)
    with pytest.raises(DiskFull) as caught:
        checkpoint.write(
            place, {checkpoint.MODEL: {"weight": torch.zeros(9)}}, {"run": "r", "step": 1}, reserve_mb=10**9
        )
    assert str(place) in caught.value.details
    assert "bytes are free" in caught.value.details and f"needs {36 + 2**20} bytes" in caught.value.details
    checkpoint.verify(place)
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


def test_a_disk_that_fills_while_writing_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write(tmp_path, 1)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write_text", full)
    with pytest.raises(DiskFull, match="bytes are free"):
        checkpoint.write(place, {checkpoint.MODEL: {"weight": torch.zeros(9)}}, {"run": "r", "step": 1})
    checkpoint.verify(place)
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


def test_what_a_killed_writer_left_is_tidied(tmp_path: Path) -> None:
    best = tmp_path / "best"
    checkpoint.write(best, {checkpoint.MODEL: {"weight": torch.zeros(9)}}, {"run": "r", "step": 1})
    best.rename(tmp_path / ".old-best")  # killed between the two renames
    (tmp_path / ".tmp-step-00000009").mkdir()
    checkpoint.recover(tmp_path)
    checkpoint.verify(best)
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
