"""A text generator by gRPC, by REST and by the SDK: the guides' texts in, a tiny decoder trained, its answers."""

import json

import pytest
from clarifai.client.model import Model

from luthier.catalog.weights import folder
from tests.e2e.client import Client, curl, until
from tests.e2e.conftest import ON_ONE_DATABASE, Server
from tests.recipes.test_text_generators import CITIES, SENTENCES, TEXTS, answer, question
from tests.recipes.tiny_writers import tiny_decoder

pytestmark = ON_ONE_DATABASE

APP, BASE = "generation", "tiny/decoder"
PARAMS = {
    "template": "HuggingFace_AdvancedConfig",
    "model_config": {"pretrained_model_name_or_path": BASE},
    "tokenizer_config": {"model_max_length": 96.0},
    "trainer_config": {"num_train_epochs": 30.0, "per_device_train_batch_size": 6.0, "learning_rate": 0.005},
    "num_gpus": 0.0,
    "seed": 3.0,
}


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """An app with the texts of the guides' form, and a tiny decoder in the server's weights folder."""
    place = folder(server.data_dir / "weights", BASE)
    if not place.exists():
        tiny_decoder(place, TEXTS)
    client = Client(server, APP)
    client.PostApps(apps=[{"id": APP}])
    texts = [
        f"### Human: {question(city, sentence)}### Assistant: {answer(city)}"
        for city in CITIES
        for sentence in SENTENCES
    ]
    client.PostInputs(inputs=[{"data": {"text": {"raw": text}}} for text in texts])
    until(lambda: client.GetInputCount().counts.to_process == 0)
    client.PostConcepts(concepts=[{"id": "some"}])
    client.PostModels(models=[{"id": "cities", "model_type_id": "text-to-text"}])
    return client


def test_concepts_are_refused(server: Server, client: Client) -> None:
    body = {"train_info": {"params": PARAMS}, "output_info": {"data": {"concepts": [{"id": "some"}]}}}
    path = f"/v2/users/{server.user_id}/apps/{APP}/models/cities/versions"
    code, said = curl(server, "POST", path, {"model_versions": [body]})
    assert (code, said["status"]["code"]) == (400, 21118)
    assert "learns no concepts: leave it out" in said["status"]["details"]


def test_texts_are_learnt_and_written(server: Server, client: Client) -> None:
    version = {"train_info": {"params": PARAMS}, "output_info": {"params": {"max_tokens": 40.0}}}
    queued = client.PostModelVersions(model_id="cities", model_versions=[version]).model.model_version
    client.trained("cities", queued.id)
    outputs = client.outputs("cities", [{"data": {"text": {"raw": question(city, SENTENCES[0])}}} for city in CITIES])
    right = [json.loads(output.data.text.raw) == {"city": city} for output, city in zip(outputs, CITIES, strict=True)]
    assert sum(right) >= 5

    asked = {"inputs": [{"data": {"text": {"raw": "My aunt lives in Lima."}}}, {"data": {"image": {"base64": "AAAA"}}}]}
    wish = {"model": {"model_version": {"output_info": {"params": {"max_tokens": 2, "stop": ["zzz"]}}}}}
    path = f"/v2/users/{server.user_id}/apps/{APP}/models/cities/outputs"
    code, said = curl(server, "POST", path, asked | wish)
    assert (code, said["status"]["code"]) == (200, 10010)
    assert said["outputs"][0]["data"]["text"]["raw"] and len(said["outputs"][0]["data"]["text"]["raw"]) < 12
    assert said["outputs"][1]["status"]["code"] == 30101  # a picture for a model of texts (E9)
    wish["model"]["model_version"]["output_info"]["params"] = {"temperature": 9}
    code, said = curl(server, "POST", path, asked | wish)
    assert code == 400 and "temperature is 9; give a number from 0 to 5" in said["status"]["details"]


def test_the_sdk_asks_for_signatures_and_no_text_is_written(server: Server, client: Client) -> None:
    probe = {"inputs": [{"data": {"metadata": {"_method_name": "_GET_SIGNATURES"}}}]}
    path = f"/v2/users/{server.user_id}/apps/{APP}/models/cities/outputs"
    code, said = curl(server, "POST", path, probe)
    assert (code, said["status"]["code"]) == (400, 30101)
    assert "text" not in said["outputs"][0].get("data", {})
    sdk = Model(
        model_id="cities", app_id=APP, user_id=server.user_id, pat=server.token, base_url=f"http://{server.grpc}"
    )
    predicted = sdk.predict_by_bytes(b"We went to Oslo by train.", input_type="text").outputs[0]
    assert predicted.data.text.raw
