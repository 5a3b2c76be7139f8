"""The guides' transfer learning by gRPC, by REST and by the SDK: no template is named; then clusters without labels."""

from pathlib import Path

import pytest
import yaml
from clarifai.client.model import Model

from luthier.catalog.weights import folder
from tests.e2e.client import Client, curl, until
from tests.e2e.conftest import ON_ONE_DATABASE, Server
from tests.recipes.test_text_classifiers import CONCEPTS, SUBJECTS, WEIGHTS
from tests.recipes.tiny_language_models import tiny_encoder

pytestmark = ON_ONE_DATABASE

APP = "transfers"
ENDINGS = ("", " for everyone", " in colour", " with a manual")
KNOWN = [texts[0] for texts in SUBJECTS.values()]


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """An app with sixty labelled texts, and a tiny encoder in the server's weights folder."""
    place = folder(server.data_dir / "weights", WEIGHTS)
    if not place.exists():
        tiny_encoder(place, [*ENDINGS, *(text for texts in SUBJECTS.values() for text in texts)])
    client = Client(server, APP)
    client.PostApps(apps=[{"id": APP}])
    client.PostConcepts(concepts=[{"id": name, "name": name} for name in CONCEPTS])
    client.PostInputs(
        inputs=[
            {"data": {"text": {"raw": text + ending}, "concepts": [{"id": concept, "value": 1.0}]}}
            for concept, texts in SUBJECTS.items()
            for text in texts
            for ending in ENDINGS
        ]
    )
    until(lambda: client.GetInputCount().counts.to_process == 0)
    return client


def test_a_head_is_trained_on_the_apps_texts_without_a_template(server: Server, client: Client) -> None:
    client.PostModels(models=[{"id": "head", "model_type_id": "embedding-classifier"}])
    free = {"regularization": 0.0}  # the vectors of a random encoder lie close together
    version = {
        "train_info": {"params": free},
        "output_info": {
            "data": {"concepts": [{"id": name} for name in CONCEPTS]},
            "output_config": {"concepts_mutually_exclusive": True},
        },
    }
    queued = client.PostModelVersions(model_id="head", model_versions=[version]).model.model_version
    trained = client.trained("head", queued.id)
    assert trained.metadata["luthier"]["plan"]["mutually_exclusive"] is True

    outputs = client.outputs("head", [{"data": {"text": {"raw": text}}} for text in KNOWN])
    assert [output.data.concepts[0].id for output in outputs] == list(SUBJECTS)
    assert sum(concept.value for concept in outputs[0].data.concepts) == pytest.approx(1, abs=1e-4)
    assert list((server.data_dir / "vectors").glob("*.vectors"))

    body = {"inputs": [{"data": {"text": {"raw": KNOWN[1]}}}, {"data": {"image": {"base64": "AAAA"}}}]}
    code, answer = curl(server, "POST", f"/v2/users/{server.user_id}/apps/{APP}/models/head/outputs", body)
    assert (code, answer["status"]["code"]) == (200, 10010)
    assert answer["outputs"][0]["data"]["concepts"][0]["id"] == "games"
    assert answer["outputs"][1]["status"]["code"] == 30101

    params = {"base_embed_model": "head"}
    refused = client.PostModelVersions(
        model_id="head", model_versions=[{**version, "train_info": {"params": params}}], success=False
    )
    assert refused.status.code == 21118 and "name a trained visual-embedder" in refused.status.details


def test_the_sdk_trains_one_from_its_parameter_file(
    server: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client.PostModels(models=[{"id": "by-sdk", "model_type_id": "embedding-classifier"}])
    where = {"app_id": APP, "user_id": server.user_id, "pat": server.token, "base_url": f"http://{server.grpc}"}
    sdk = Model(model_id="by-sdk", **where)
    params = sdk.get_params(save_to="params.yaml")
    assert params["train_params"]["enrich_dataset"] == "Automatic"
    params["train_params"]["regularization"] = 0.0
    params |= {"concepts": list(CONCEPTS), "concepts_mutually_exclusive": True}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    client.trained("by-sdk", sdk.train("params.yaml"))
    client.outputs("by-sdk", [{"data": {"text": {"raw": "x"}}}])  # until it is loaded
    sdk = Model(model_id="by-sdk", **where)  # the one above asks for the version that it has seen first
    concepts = sdk.predict_by_bytes(KNOWN[2].encode(), input_type="text").outputs[0].data.concepts
    assert max(concepts, key=lambda concept: concept.value).name == CONCEPTS[2]


def test_texts_are_put_into_clusters(client: Client) -> None:
    client.PostModels(models=[{"id": "groups", "model_type_id": "clusterer"}])
    version = {"train_info": {"params": {"num_clusters": 3.0, "seed": 1.0}}}
    queued = client.PostModelVersions(model_id="groups", model_versions=[version]).model.model_version
    trained = client.trained("groups", queued.id)
    assert 0 <= trained.metadata["luthier"]["metrics"]["distance"] <= 2
    (output,) = client.outputs("groups", [{"data": {"text": {"raw": KNOWN[0]}}}])
    (cluster,) = output.data.clusters
    assert cluster.id in ("0", "1", "2") and 0 < cluster.score <= 1 and cluster.count > 0
