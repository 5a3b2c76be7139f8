"""Requests to train a text classifier by the documented templates: what their JSON objects may say over the wire."""

from typing import Any

import pytest

from luthier.catalog import weights
from luthier.errors import InvalidTrainingParams
from luthier.rpcs.context import Context
from tests.rpcs.trainable import add_concept, add_input, make_model, post, row_of, training

LORA = "HF_GPTNeo_125m_lora"


@pytest.fixture
def ready(ctx: Context) -> Context:
    """Two concepts with ten texts each, and the model `m`."""
    for concept in ("cat", "dog"):
        seq = add_concept(ctx, concept)
        for number in range(10):
            add_input(ctx, f"{concept}-{number}", {seq: 1}, kind="text")
    make_model(ctx, model_type_id="text-classifier")
    return ctx


def refusal(ctx: Context, **params: Any) -> str:
    with pytest.raises(InvalidTrainingParams) as caught:
        post(ctx, training(LORA, **params))
    assert caught.value.code == 21118
    return caught.value.details


def test_objects_arrive_as_the_wire_has_them(ready: Context) -> None:
    params = {
        "trainer_config": {"num_train_epochs": 2, "learning_rate": 1e-3},
        "peft_config": {"r": 4, "use_dora": True},
    }
    version = post(ready, training(LORA, **params)).model_version
    assert version.status.code == 21103
    kept = row_of(ready, version.id).request["hyperparameters"]
    assert kept["trainer_config"] == {"auto_find_batch_size": True, "num_train_epochs": 2, "learning_rate": 1e-3}
    assert (kept["peft_config"]["r"], kept["peft_config"]["lora_alpha"], kept["peft_config"]["use_dora"]) == (
        4,
        16,
        True,
    )


def test_bad_H8_the_path_of_an_unknown_key(ready: Context) -> None:
    assert "trainer_config.learning_rat: " in refusal(ready, trainer_config={"learning_rat": 1e-3})


def test_bad_H9_a_model_that_only_the_user_names_must_be_here(ready: Context) -> None:
    named = {"model_config": {"pretrained_model_name": "someone/neo"}}
    assert "someone/neo is not in the weights folder; fetch them: luthier weights pull someone/neo" in refusal(
        ready, **named
    )
    place = weights.folder(ready.settings.weights_folder, "someone/neo")
    place.mkdir(parents=True)
    (place / "model.safetensors").touch()
    assert post(ready, training(LORA, **named)).model_version.status.code == 21103


def test_bad_H9_code_of_a_model_is_never_asked_for(ready: Context) -> None:
    assert "model_config.trust_remote_code" in refusal(ready, model_config={"trust_remote_code": True})
    assert "model_config.pretrained_model_name" in refusal(ready, model_config={"pretrained_model_name": "../../x"})
