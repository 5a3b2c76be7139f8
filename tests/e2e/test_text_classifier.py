"""A text classifier by gRPC, by REST and by the SDK: texts in, a small encoder trained, predictions on unseen texts."""

import pytest
from clarifai.client.model import Model

from luthier.catalog.weights import folder
from tests.e2e.client import Client, curl, until
from tests.e2e.conftest import ON_ONE_DATABASE, Server
from tests.recipes.test_text_classifiers import CONCEPTS, SUBJECTS, WEIGHTS
from tests.recipes.tiny_language_models import tiny_encoder, tiny_model

pytestmark = ON_ONE_DATABASE

APP = "texts"
ENDINGS = ("", " for everyone", " in colour", " with a manual", " that is new", " without ads")


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """An app with ninety labelled texts, and a tiny encoder in the server's weights folder."""
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


def test_texts_are_learnt_and_told_apart(server: Server, client: Client) -> None:
    client.PostModels(models=[{"id": "subjects", "model_type_id": "text-classifier"}])
    params = {"template": "luthier_minilm", "num_epochs": 15.0, "batch_size": 8.0, "num_gpus": 0.0, "seed": 3.0}
    rates = {"learning_rate": 0.003, "backbone_learning_rate_multiplier": 1.0, "warmup_iters": 0.0}
    version = {
        "train_info": {"params": params | rates},
        "output_info": {"data": {"concepts": [{"id": name} for name in CONCEPTS]}},
    }
    queued = client.PostModelVersions(model_id="subjects", model_versions=[version]).model.model_version
    client.trained("subjects", queued.id)

    known = [{"data": {"text": {"raw": texts[0]}}} for texts in SUBJECTS.values()]
    outputs = client.outputs("subjects", known)
    assert [output.data.concepts[0].id for output in outputs] == list(SUBJECTS)
    assert [len(output.data.concepts) for output in outputs] == [3, 3, 3]

    body = {"inputs": [{"data": {"text": {"raw": "chess for children"}}}, {"data": {"image": {"base64": "AAAA"}}}]}
    code, answer = curl(server, "POST", f"/v2/users/{server.user_id}/apps/{APP}/models/subjects/outputs", body)
    assert (code, answer["status"]["code"]) == (200, 10010)
    assert answer["outputs"][0]["data"]["concepts"][0]["id"] == "games"
    assert answer["outputs"][1]["status"]["code"] == 30101  # a picture for a model of texts (E9)

    sdk = Model(
        model_id="subjects", app_id=APP, user_id=server.user_id, pat=server.token, base_url=f"http://{server.grpc}"
    )
    predicted = sdk.predict_by_bytes(b"fonts for Greek", input_type="text").outputs[0].data.concepts
    assert max(predicted, key=lambda concept: concept.value).name == CONCEPTS[2]


def test_the_guides_lora_template_learns_beside_a_base_model(server: Server, client: Client) -> None:
    place = folder(server.data_dir / "weights", "EleutherAI/gpt-neo-125m")
    if not place.exists():
        tiny_model(place, [*ENDINGS, *(text for texts in SUBJECTS.values() for text in texts)], "gpt_neo")
    client.PostModels(models=[{"id": "lora", "model_type_id": "text-classifier"}])
    params = {
        "template": "HF_GPTNeo_125m_lora",
        "model_config": {"pretrained_model_name": "EleutherAI/gpt-neo-125m", "torch_dtype": "torch.float32"},
        "peft_config": {"peft_type": "LORA", "task_type": "SEQ_CLS", "r": 16, "inference_mode": False},
        "tokenizer_config": {},
        "trainer_config": {"auto_find_batch_size": True, "num_train_epochs": 20, "learning_rate": 0.01},
        "seed": 3.0,
    }
    version = {
        "train_info": {"params": params},
        "output_info": {"data": {"concepts": [{"id": name} for name in CONCEPTS]}},
    }
    queued = client.PostModelVersions(model_id="lora", model_versions=[version]).model.model_version
    client.trained("lora", queued.id)
    outputs = client.outputs("lora", [{"data": {"text": {"raw": texts[0]}}} for texts in SUBJECTS.values()])
    assert [output.data.concepts[0].id for output in outputs] == list(SUBJECTS)
