"""`luthier train` on an MVTec folder, and `luthier predict --save`, which draws heat."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.recipes.surfaces import HEIGHT, SCRATCH, WIDTH, mvtec


def luthier(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "luthier", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_an_mvtec_folder_from_data_to_drawn_heatmaps(tmp_path: Path) -> None:
    data, out = mvtec(tmp_path / "metal"), tmp_path / "run"
    quick = ["--threads", "1", "--set", "image_size=64", "--set", "coreset_ratio=0.1", "--seed", "1"]
    trained = luthier("train", "--data", data, "--template", "luthier_tiny_patchcore", "--out", out, *quick, "--json")
    assert trained.returncode == 0, trained.stderr
    result = json.loads(trained.stdout.splitlines()[-1])
    assert set(result["metrics"]) == {"image_auroc", "pixel_auroc", "pro"}
    assert result["metrics"]["image_auroc"] >= 0.9 and result["metrics"]["pixel_auroc"] >= 0.8
    assert "no anomalies are labelled there" in (out / "log.txt").read_text()

    pictures = sorted((data / "test" / SCRATCH).iterdir())
    asked = luthier("predict", "--model", out, "--save", tmp_path / "drawn", "--json", *pictures)
    assert asked.returncode == 0, asked.stderr
    row = json.loads(asked.stdout.splitlines()[0])
    assert {concept["id"] for concept in row["concepts"]} == {"good", SCRATCH} and row["heatmap"]
    drawn = np.asarray(Image.open(tmp_path / "drawn" / f"{pictures[0].stem}.png")).astype(int)
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    redness = drawn[..., 0] - drawn[..., 2]
    mask = np.asarray(Image.open(data / "ground_truth" / SCRATCH / f"{pictures[0].stem}_mask.png")) > 0
    assert redness[mask].mean() > 60 > redness[~mask].mean()


def test_pictures_of_one_folder_that_is_no_fault_are_good(tmp_path: Path) -> None:
    data = mvtec(tmp_path / "metal") / "train"
    answer = luthier(
        "train", "--data", data, "--template", "luthier_tiny_patchcore", "--out", tmp_path / "run", "--threads", "1",
        "--set", "image_size=64",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "good" in answer.stdout
