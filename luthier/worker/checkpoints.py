"""Finds the checkpoint of a run that may be published or trained on from, and proves that it is whole.

The engine writes `manifest.json` last, with the SHA-256 of every file. Next: `training_job`.
"""

import hashlib
import json
from pathlib import Path

from luthier.errors import CorruptFile
from luthier.runs.run import RunFolder

BEST = "checkpoints/best"


def verify(folder: Path) -> None:
    """Raises CorruptFile unless every file is there and has the hash that was written down."""
    try:
        files = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
        for name, expected in files.items():
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise CorruptFile(f"{folder.name}/{name} has changed since it was written")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"checkpoint {folder.name} is not whole: {error}") from error


def usable(run: RunFolder, said: str = "") -> str:
    """What an unfinished training leaves behind, relative to the run folder: best, else the newest; "" for nothing."""
    newest = sorted((f"checkpoints/{folder.name}" for folder in run.checkpoints.glob("step-*")), reverse=True)
    for name in (BEST, said, *newest):
        if name and _whole(run.path / name):
            return name
    return ""


def _whole(folder: Path) -> bool:
    try:
        verify(folder)
    except CorruptFile:
        return False
    return True
