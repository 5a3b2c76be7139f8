"""Rows H8 to H12 of the bad inputs: what may stand in the JSON objects of the templates for texts."""

import builtins
from typing import Any

import pytest

from luthier.catalog import text_keys
from luthier.catalog.json_object import JsonObject
from luthier.catalog.model_type import find_template
from luthier.catalog.template import Template
from tests.catalog.test_bad_inputs import refusal

LORA = find_template("text-classifier", "HF_GPTNeo_125m_lora")
ANY_MODEL = find_template("text-classifier", "HuggingFace_AdvancedConfig")
LLAMA = find_template("text-classifier", "HF_Llama_2_7b_chat_GPTQ_lora")


def of(parameter: str, value: Any, template: Template = LORA) -> str:
    """What the refusal says after the parameter's name."""
    details = refusal(template, **{parameter: value})
    assert details.startswith(f"train_info.params.{parameter}")
    return details.removeprefix(f"train_info.params.{parameter}")


def test_bad_H8_unknown_key_gets_its_path_and_the_nearest() -> None:
    assert (
        of("trainer_config", {"learning_rat": 1e-3})
        == ".learning_rat: there is no such key; did you mean learning_rate?"
    )
    assert "it may have model_max_length, truncation_side" in of("tokenizer_config", {"zzz": 1})


@pytest.mark.parametrize("value", ["{", "{}", 3, None, True, [], [["num_train_epochs", 1]]])
def test_bad_H8_what_is_no_object(value: Any) -> None:
    assert "; give a JSON object with keys of num_train_epochs, " in of("trainer_config", value)


@pytest.mark.parametrize(
    ("parameter", "key", "value", "allowed"),
    [
        ("trainer_config", "learning_rate", "fast", "a number from 0 to 10"),
        ("trainer_config", "learning_rate", float("nan"), "a number from 0 to 10"),
        ("trainer_config", "num_train_epochs", 0, "a whole number from 1 to 1000"),
        ("trainer_config", "num_train_epochs", 1.5, "a whole number from 1 to 1000"),
        ("trainer_config", "fp16", "true", "true or false"),
        ("trainer_config", "optim", "adafactor", "one of adamw_torch, sgd"),
        ("peft_config", "r", -1, "a whole number from 1 to 1024"),
        ("peft_config", "peft_type", "XLORA", "one of LORA, IA3, PROMPT_TUNING, PREFIX_TUNING"),
        ("peft_config", "inference_mode", True, "false, or leave it out"),
        ("peft_config", "task_type", "CAUSAL_LM", '"SEQ_CLS", or leave it out'),
        ("peft_config", "target_modules", "(a+)+$", "a list of 1 to 64 names of layers"),
        ("peft_config", "target_modules", [["q_proj"]], "a list of 1 to 64 names of layers"),
        (
            "model_config",
            "problem_type",
            "regression",
            "one of multi_label_classification, single_label_classification",
        ),
        ("tokenizer_config", "model_max_length", 7, "a whole number from 8 to 131072"),
    ],
)
def test_bad_H8_wrong_type_or_range_of_a_key(parameter: str, key: str, value: Any, allowed: str) -> None:
    details = of(parameter, {key: value})
    assert details.startswith(f".{key} is ") and f"; give {allowed}" in details


def test_bad_H8_keys_of_another_adapter() -> None:
    assert ".r: there is no such key" in of("peft_config", {"peft_type": "IA3", "r": 8})
    assert ".peft_type is missing; give one of LORA" in of("peft_config", {"r": 8}, ANY_MODEL)


def test_a_key_that_is_left_out_keeps_the_documented_value() -> None:
    values = LORA.checked({"trainer_config": {"learning_rate": 1e-3}, "peft_config": {"r": 4.0}})
    assert values["trainer_config"] == {"auto_find_batch_size": True, "num_train_epochs": 1, "learning_rate": 1e-3}
    assert (values["peft_config"]["r"], values["peft_config"]["lora_alpha"]) == (4, 16)
    assert LORA.checked(values) == values  # the worker checks again what the API has checked
    ia3 = LORA.checked({"peft_config": {"peft_type": "IA3"}})
    assert ia3["peft_config"] == {"peft_type": "IA3", "task_type": "SEQ_CLS", "inference_mode": False}
    assert LORA.checked(ia3) == ia3


@pytest.mark.parametrize(
    "key", ["trust_remote_code", "auto_map", "use_auth_token", "revision", "cache_dir", "device_map"]
)
def test_bad_H9_keys_that_fetch_or_run_code(key: str) -> None:
    for parameter in ("model_config", "tokenizer_config", "peft_config"):
        assert of(parameter, {key: True}).startswith(f".{key}: there is no such key; ")


@pytest.mark.parametrize(
    "name",
    ["../../x", "..", "/etc/passwd", "http://a/b", "https://a.b/c", "a/b/c", "a//b", "", ".hidden", "a b", "x" * 300],
)
def test_bad_H9_names_of_models_are_no_paths_and_no_urls(name: str) -> None:
    details = of("model_config", {"pretrained_model_name": name})
    assert "give the name of a model in the weights folder" in details and len(details) < 600
    assert of("model_config", {"pretrained_model_name_or_path": name}, ANY_MODEL).endswith("never a path or a URL")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("output_dir", "/etc"),
        ("logging_dir", "/tmp/x"),
        ("resume_from_checkpoint", "/tmp/x"),
        ("push_to_hub", True),
        ("hub_token", "hf_secret"),
        ("deepspeed", "/etc/passwd"),
        ("report_to", "all"),
        ("fsdp_config", "/etc/passwd"),
    ],
)
def test_bad_H10_arguments_that_name_files_and_sites(key: str, value: Any) -> None:
    assert of("trainer_config", {key: value}).startswith(f".{key}: there is no such key; ")
    assert of("trainer_config", {key: value}, ANY_MODEL).startswith(f".{key}")


def test_the_documented_output_dir_may_be_sent_back() -> None:
    ANY_MODEL.checked(ANY_MODEL.defaults())
    details = of("trainer_config", {"output_dir": "elsewhere"}, ANY_MODEL)
    assert details == '.output_dir is "elsewhere"; give "checkpoint", or leave it out'


@pytest.mark.parametrize("value", ["__import__('os').system('touch /tmp/pwned')", "torch.load", "float64", 32, None])
def test_bad_H12_torch_dtype_is_one_of_a_list(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "eval", lambda *arguments: pytest.fail("evaluated"))
    assert "give one of torch.float32, " in of("model_config", {"torch_dtype": value})


def test_what_is_declared_names_no_file_and_runs_nothing() -> None:
    keys = {
        key.name
        for one in (LORA, LLAMA)
        for p in one.hyperparameters
        if isinstance(p, JsonObject)
        for key in p.all_keys()
    }
    assert not [key for key in keys if any(part in key for part in ("path", "dir", "file", "hub", "remote", "token_"))]


def test_gptq_names_mean_the_model_that_the_build_was_made_from() -> None:
    values = LLAMA.checked({})
    assert LLAMA.weights(values) == "meta-llama/Llama-2-7b-chat-hf"
    plan = LLAMA.plan_for(values)
    assert any("4 bits on a GPU with bitsandbytes" in note for note in plan.notes)
    own = LLAMA.checked({"model_config": {"pretrained_model_name": "mine/llama"}})
    assert LLAMA.weights(own) == "mine/llama"


def test_words_of_the_training_arguments_become_the_plan() -> None:
    trainer = {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "max_grad_norm": 0.5,
    }
    plan = LORA.plan_for(LORA.checked({"trainer_config": {**trainer, "lr_scheduler_type": "cosine", "bf16": True}}))
    assert (plan.epochs, plan.batch_size, plan.accumulate, plan.clip_gradient_norm) == (3, 4, 2, 0.5)
    assert (plan.schedule, plan.learning_rate) == ("cosine", 2e-4)
    assert "bfloat16 is used wherever the hardware" in plan.notes[0]
    assert ANY_MODEL.plan_for(ANY_MODEL.checked({})).learning_rate == 5e-5
    assert {"LORA", "IA3", "PROMPT_TUNING", "PREFIX_TUNING"} == set(text_keys.peft_variants())
