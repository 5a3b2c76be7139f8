"""The Python SDK, unchanged but for address and token: from an empty account to predictions and back."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Server

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parent / "snippets" / "sdk_flow.py"


def test_sdk_from_upload_to_prediction(server: Server, digit_folder: Callable[[int], Path], tmp_path: Path) -> None:
    folder = digit_folder(600)
    environment = server.client_environment() | {
        "CLARIFAI_API_BASE": f"http://{server.grpc}",
        "CLARIFAI_PAT": server.token,
        "CLARIFAI_USER_ID": server.user_id,
        "FOLDER": str(folder),
    }
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])

    assert seen["apps_after"] == []
    assert seen["inputs"] == 600
    assert seen["concepts"] == sorted("0123456789")
    assert {"luthier_tiny_resnet", "MMClassification_ResNet_50_RSB_A1", "Clarifai_ResNext"} <= set(seen["templates"])
    assert seen["params"]["train_params"]["template"] == "luthier_tiny_resnet"
    assert seen["status"] == 21100
    assert "epoch" in seen["log"].lower()
    assert seen["right_of_20"] >= 17, "predictions of training pictures"
    assert seen["by_bytes"] == seen["by_filepath"]
    assert len(set(seen["by_url"])) == 1
    assert seen["versions"] == 2, "the untrained first and the trained one"
    assert seen["versions_after_delete"] == 1
