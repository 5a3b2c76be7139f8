"""Checkpoints: a folder of safetensors and JSON, written whole or not at all, verified before use. Next: `session`.

step-00000200/   model, optimizer (and average): enough to go on        the two newest are kept
best/            the model that validated best: what is served
last/            the newest of the above once training has ended
    model.safetensors  state.json  manifest.json (SHA-256 of each file, written last)
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from luthier.engine.optimizers import Optimizer
from luthier.errors import CorruptFile, DiskFull

MANIFEST, STATE, MODEL, OPTIMIZER, AVERAGE = (
    "manifest.json",
    "state.json",
    "model.safetensors",
    "optimizer.safetensors",
    "average.safetensors",
)
KEPT = 2
Tensors = Mapping[str, torch.Tensor]


def write(folder: Path, tensors: Mapping[str, Tensors], state: dict[str, Any], reserve_mb: int = 0) -> None:
    """Puts the checkpoint at `folder`, in place of what is there; raises DiskFull and leaves what is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    needed = sum(tensor.nbytes for file in tensors.values() for tensor in file.values()) + 2**20
    _check_room(folder, needed, reserve_mb)
    temporary = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        _write_files(temporary, tensors, state)
        _replace(temporary, folder)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(_room_message(folder, needed, reserve_mb)) from error


def _write_files(folder: Path, tensors: Mapping[str, Tensors], state: dict[str, Any]) -> None:
    for name, file in tensors.items():
        on_cpu = {key: tensor.detach().cpu().contiguous() for key, tensor in file.items()}
        safetensors.torch.save_file(on_cpu, folder / name)
        _sync(folder / name)
    _write_text(folder / STATE, json.dumps(state, ensure_ascii=False, indent=1))
    hashes = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    _write_text(folder / MANIFEST, json.dumps({"run": state["run"], "step": state["step"], "files": hashes}, indent=1))
    _sync(folder)


def _replace(temporary: Path, folder: Path) -> None:
    """Renames into place. A folder cannot replace a full one, so the old steps aside; `recover` mends a cut."""
    aside = folder.with_name(f".old-{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        folder.rename(aside)
    temporary.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def recover(checkpoints: Path) -> None:
    """Tidies what a killed writer left behind: half-written folders go, one that had stepped aside comes back."""
    for temporary in checkpoints.glob(".tmp-*"):
        shutil.rmtree(temporary, ignore_errors=True)
    for aside in checkpoints.glob(".old-*"):
        folder = checkpoints / aside.name.removeprefix(".old-")
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(folder)


def verify(folder: Path) -> dict[str, Any]:
    """The state in `folder`; raises CorruptFile unless every file is there and has the hash that was written down."""
    manifest = _json(folder / MANIFEST)
    try:
        for name, expected in manifest["files"].items():
            if sha256(folder / name) != expected:
                raise CorruptFile(
                    f"{folder / name} has changed since it was written: its SHA-256 is not the recorded one"
                )
        state = _json(folder / STATE)
        if (state["run"], state["step"]) != (manifest["run"], manifest["step"]):
            raise CorruptFile(f"{folder}: state.json and manifest.json are of different checkpoints")
    except (KeyError, TypeError, AttributeError, OSError) as error:
        raise CorruptFile(f"{folder} is not a whole checkpoint: {error}") from error
    if folder.name.startswith("step-") and folder.name != step_name(state["step"]):
        raise CorruptFile(f"{folder} holds the checkpoint of step {state['step']}")
    return state


def newest_valid(checkpoints: Path, run: str, log: Callable[[str], None]) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint of `run` with its state; damaged ones are logged and passed over."""
    found = []
    for folder in resumable(checkpoints):
        try:
            state = verify(folder)
            if state["run"] != run:
                raise CorruptFile(f"{folder} is of the run {state['run']}")
            found.append((state["step"], folder, state))
        except CorruptFile as error:
            log(f"Passed over a checkpoint. {error}")
    newest = max(found, default=None, key=lambda one: one[0])
    return (newest[1], newest[2]) if newest else None


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise CorruptFile(f"{file}: {error}") from error


def load_exactly(network: torch.nn.Module, tensors: Tensors) -> None:
    """Raises CorruptFile unless names and shapes are those of the network."""
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise CorruptFile(f"the checkpoint is of another network: {error}") from error


def remove_old(checkpoints: Path) -> None:
    for folder in sorted(checkpoints.glob("step-*"))[:-KEPT]:
        shutil.rmtree(folder)


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def finish(checkpoints: Path) -> None:
    """Training has ended: the newest full state becomes last/, the others go."""
    steps = sorted(checkpoints.glob("step-*"))
    if not steps:
        return
    _replace(steps[-1], checkpoints / "last")
    for folder in steps[:-1]:
        shutil.rmtree(folder)


def step_name(step: int) -> str:
    return f"step-{step:08d}"


# -- the optimizer's state under the names of its parameters -----------------------------------------------------------


def optimizer_tensors(network: torch.nn.Module, optimizer: Optimizer) -> dict[str, torch.Tensor]:
    """State as `parameter name` + "#" + `state name`, and the number of steps of each group as "#steps"."""
    tensors = {
        f"{name}#{key}": value
        for name, parameter in network.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }
    return {**tensors, "#steps": torch.tensor([group.steps for group in optimizer.groups])}


def restore_optimizer(network: torch.nn.Module, optimizer: Optimizer, tensors: Tensors) -> None:
    """Lays state out in memory as its parameter is: sums in another order would end in other bytes."""
    parameters = dict(network.named_parameters())
    for key, value in tensors.items():
        name, _, state_name = key.rpartition("#")
        if not name:
            for group, steps in zip(optimizer.groups, value.expand(len(optimizer.groups)).tolist(), strict=True):
                group.steps = steps
            continue
        optimizer.slots([parameters[name]], state_name)[0].copy_(value)


# -- files -------------------------------------------------------------------------------------------------------------


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resumable(checkpoints: Path) -> list[Path]:
    """Folders of full state, oldest first."""
    return sorted(checkpoints.glob("step-*")) + sorted(checkpoints.glob("last"))


def _check_room(folder: Path, needed: int, reserve_mb: int) -> None:
    if shutil.disk_usage(folder.parent).free < needed + reserve_mb * 2**20:
        raise DiskFull(_room_message(folder, needed, reserve_mb))


def _room_message(folder: Path, needed: int, reserve_mb: int) -> str:
    free = shutil.disk_usage(folder.parent).free
    return (
        f"checkpoint {folder} needs {needed} bytes, {free} bytes are free and disk_reserve_mb keeps "
        f"{reserve_mb} MiB of them; free some space and start again: the training goes on from its last checkpoint"
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptFile(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CorruptFile(f"{path} holds no object")
    return content


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
