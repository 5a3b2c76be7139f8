"""The four calls of the guides to deep fine-tuning, as written there: Python over TLS, curl, and a browser's REST."""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from tests.conftest import png
from tests.e2e.client import Client, curl
from tests.e2e.conftest import Server

pytestmark = pytest.mark.long

SNIPPETS = Path(__file__).parent / "snippets"
APP = "guides"


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """An app with pieces of two photos, labelled with the concepts that the guide names."""
    client = Client(server, APP)
    client.PostApps(apps=[{"id": APP}])
    inputs = []
    for concept, photo in (
        ("ferrari23", load_sample_image("flower.jpg")),
        ("outdoors23", load_sample_image("china.jpg")),
    ):
        rng = np.random.default_rng(0)
        for number in range(4):
            top, left = rng.integers(0, 427 - 200), rng.integers(0, 640 - 200)
            inputs.append((f"{concept}-{number}", concept, png(photo[top : top + 200, left : left + 200])))
    client.upload(inputs)
    return client


def snippet(server: Server, name: str, model_id: str) -> str:
    """What the snippet prints; it is given the two variables that point it here, and its ids and token."""
    environment = server.client_environment() | {"APP_ID": APP, "MODEL_ID": model_id}
    done = subprocess.run(
        [sys.executable, SNIPPETS / f"{name}.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def add_random_weights(server: Server, name: str, folder: Path) -> None:
    """Puts a freshly initialised network under `name`: that proves loading, not quality."""
    import timm
    from safetensors.torch import save_file

    file = folder / "model.safetensors"
    save_file(timm.create_model(name.removeprefix("timm/"), pretrained=False).state_dict(), file)
    server.command("weights", "add", name, str(file))


def test_python_snippets_run_unchanged_over_tls(server: Server, client: Client, tmp_path: Path) -> None:
    assert "21102" in snippet(server, "create_model", "petsID") or "MODEL_UNTRAINED" in snippet(
        server, "create_model", "petsID2"
    )
    printed = snippet(server, "template_types", "petsID")
    for template in ("MMClassification_ResNet_50_RSB_A1", "Clarifai_InceptionTransferEmbedNorm", "luthier_tiny_resnet"):
        assert f'id: "{template}"' in printed
    assert int(re.search(r"seconds: (\d+)", snippet(server, "training_time_estimator", "petsID"))[1]) > 0  # type: ignore[index]

    missing = client.PostModelVersions(
        model_id="petsID",
        model_versions=[{"train_info": {"params": {"template": "MMClassification_ResNet_50_RSB_A1"}}}],
        success=False,
    )
    assert missing.status.code == 21118, missing
    assert "luthier weights add timm/resnet50.a1_in1k" in missing.status.details

    add_random_weights(server, "timm/resnet50.a1_in1k", tmp_path)
    assert "MODEL_QUEUED_FOR_TRAINING" in snippet(server, "train_model", "petsID")
    queued = client.GetModel(model_id="petsID").model.model_version
    version = client.trained("petsID", queued.id)
    with urllib.request.urlopen(version.train_log) as log:
        assert "epoch 2" in log.read().decode().lower()


def test_curl_snippets(server: Server, client: Client) -> None:
    root = f"/v2/users/{server.user_id}/apps/{APP}"
    code, made = curl(
        server, "POST", f"{root}/models", {"model": {"id": "pets-curl", "model_type_id": "visual-classifier"}}
    )
    assert (code, made["status"]["code"], made["model"]["model_version"]["status"]["code"]) == (200, 10000, 21102)

    params = {"template": "MMDetection_FasterRCNN"}
    body = {"model_versions": [{"train_info": {"params": params}}], "estimated_input_count": 100}
    code, estimate = curl(server, "POST", f"{root}/models/pets-curl/versions/time_estimate/", body)
    assert code == 200
    assert re.fullmatch(r"\d+(\.\d+)?s", estimate["training_time_estimates"][0])

    version = {
        "train_info": {"params": {"template": "luthier_tiny_resnet", "num_epochs": 2}},
        "output_info": {"data": {"concepts": [{"id": "ferrari23"}, {"id": "outdoors23"}]}},
    }
    code, answer = curl(server, "POST", f"{root}/models/pets-curl/versions", {"model_versions": [version]})
    assert (code, answer["model"]["model_version"]["status"]["code"]) == (200, 21103)
    client.trained("pets-curl", answer["model"]["model_version"]["id"])


def test_rest_as_a_browser_sends_it(server: Server, client: Client) -> None:
    """A fetch() with Accept and Authorization alone: a preflight without key, then a text/plain body."""
    ids = {"user_app_id": {"user_id": server.user_id, "app_id": APP}}
    preflight = urllib.request.Request(
        f"{server.url}/v2/models",
        method="OPTIONS",
        headers={
            "Origin": "https://example.org",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    with urllib.request.urlopen(preflight) as answer:
        assert answer.status in (200, 204)
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()

    body = {**ids, "model": {"id": "pets-browser", "model_type_id": "visual-classifier"}}
    code, made = curl(
        server, "POST", "/v2/models", body, "Content-Type: text/plain;charset=UTF-8", "Origin: https://example.org"
    )
    assert (code, made["model"]["id"]) == (200, "pets-browser")

    code, types = curl(server, "GET", f"/v2/users/{server.user_id}/apps/{APP}/models/types?per_page=20&page=1")
    assert code == 200
    templates = [
        option["id"]
        for model_type in types["model_types"]
        for field in model_type["model_type_fields"]
        if field["path"].endswith(".template")
        for option in field["model_type_enum_options"]
    ]
    assert "MMClassification_ResNet_50_RSB_A1" in templates

    estimate = {
        **ids,
        "model_versions": [{"train_info": {"params": {"template": "MMDetection_FasterRCNN"}}}],
        "estimated_input_count": 100,
    }
    code, answer = curl(
        server, "POST", "/v2/models/pets-browser/versions/time_estimate/", estimate, "Content-Type: text/plain"
    )
    assert code == 200, json.dumps(answer)
