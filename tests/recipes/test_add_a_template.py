"""docs/how-to/add-a-template.md, followed to the letter: its one file, then its commands, in a copy of the package."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import luthier
from tests.engine.runs import Pictures

PACKAGE = Path(luthier.__file__).parent
PAGE = PACKAGE.parent / "docs" / "how-to" / "add-a-template.md"


def test_the_how_to_is_one_file_long_and_its_commands_work(digits: Pictures, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (name,) = re.findall(r"the file is `(luthier/\S+\.py)`", text)
    (console,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    shutil.copytree(PACKAGE, tmp_path / "luthier", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / name).write_text(code, encoding="utf-8")
    _write_pictures(tmp_path / "pictures", digits)

    outputs = [_run(line.removeprefix("$ "), tmp_path) for line in console.splitlines()]
    assert len(outputs) == 3
    shown, trained, predicted = outputs
    assert "luthier_resnet34 (visual-classifier)" in shown and "image_size" in shown and "stochastic_depth" in shown
    assert "accuracy" in trained
    assert predicted.count(".png") == 4


def _write_pictures(folder: Path, digits: Pictures) -> None:
    for label in ("3", "5"):
        own = [data for kind, data in digits if kind == label]
        for split, pictures in (("train", own[:8]), ("val", own[8:10]), ("test", own[10:12])):
            place = folder / split / label
            place.mkdir(parents=True)
            for number, data in enumerate(pictures):
                (place / f"{number}.png").write_bytes(data)


def _run(line: str, folder: Path) -> str:
    program, *arguments = shlex.split(line)
    assert program == "luthier"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LUTHIER_")}
    environment = {**kept, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "luthier", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
