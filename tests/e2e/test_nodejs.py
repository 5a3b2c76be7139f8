"""The published NodeJS client (npm: clarifai-nodejs-grpc), over TLS alone: the guide's calls and the main job."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import nodejs_client
from tests.e2e.conftest import Server

pytestmark = pytest.mark.long


def test_nodejs_from_upload_to_prediction(server: Server, digit_folder: Callable[[int], Path], tmp_path: Path) -> None:
    folder = digit_folder(300)
    printed = nodejs_client.run("flow.js", server.client_environment() | {"FOLDER": str(folder)}, tmp_path)
    seen = json.loads(printed.splitlines()[-1])

    assert seen["model"] == {"id": "petsID", "status": 21102}
    assert {"MMClassification_ResNet_50_RSB_A1", "MMDetection_FasterRCNN"} <= set(seen["templates"])
    assert (seen["inputs"], seen["listed"]) == (300, 100)
    assert (seen["first"]["status"], seen["first"]["concept"]["id"]) == (30000, "0")
    assert seen["first"]["concept"]["value"] == 1

    assert seen["lost"]["code"] == 21118, "a template that never arrived is asked for"
    assert "template" in seen["lost"]["details"]
    assert seen["queued"] == 21103
    assert seen["trained"]["code"] == 21100, seen["trained"]
    assert (seen["concepts"], seen["right"] > 15) == (10, True), seen["right"]
    assert seen["refused"] == 11008
