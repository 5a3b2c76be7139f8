"""Reads `documented.txt`, and says what is documented of the templates for texts, whose defaults are objects."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Parameter:
    name: str
    kind: str
    default: Any
    bounds: tuple[float | None, float | None, float | None] = (None, None, None)
    options: tuple[str, ...] = ()
    internal: bool = False


@dataclass
class Documented:
    model_type: str
    id: str
    marks: list[str]
    parameters: list[Parameter] = field(default_factory=list)


def read() -> list[Documented]:
    templates: list[Documented] = []
    for line in Path(__file__).with_name("documented.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            model_type, id, *marks = line[2:].split()
            templates.append(Documented(model_type, id, marks))
        elif line and not line.startswith("//"):
            templates[-1].parameters.append(_parameter(*line.split(" ; ")))
    return templates


def _parameter(name: str, kind: str, default: str, *rest: str) -> Parameter:
    parameter = Parameter(name, kind, json.loads(default))
    for word in rest:
        if ".." in word:
            limits, _, step = word.partition("/")
            low, high = limits.split("..")
            parameter.bounds = (_number(low), _number(high), _number(step))
        elif word == "internal":
            parameter.internal = True
        else:
            parameter.options = tuple(word.split("|"))
    return parameter


def _number(text: str) -> float | None:
    return float(text) if text else None


# -- texts: template, base model, trainer; every one also has tokenizer_config -----------------------------------------

LORA = {"r": 16, "peft_type": "LORA", "lora_dropout": 0.1, "inference_mode": False, "lora_alpha": 16}
GPTQ = {"bits": 4, "use_exllama": False}
FLOAT32 = {"torch_dtype": "torch.float32"}
AUTO = {"auto_find_batch_size": True, "num_train_epochs": 1}
BY_HAND = {"num_train_epochs": 1, "learning_rate": 0.0002, "fp16": True}
LLAMA_3_1 = "hugging-quants/Meta-Llama-3.1-8B-Instruct-GPTQ-INT4"  # only "a GPTQ build" is documented


def texts() -> dict[tuple[str, str], dict[str, Any]]:
    """(model type, template) -> names and defaults of the hyperparameters, in order."""
    found = {}
    for model_type, trainer, multi in (
        ("text-classifier", AUTO, {"problem_type": "multi_label_classification"}),
        ("text-to-text", BY_HAND, {}),
    ):
        peft = LORA | {"task_type": "SEQ_CLS" if multi else "CAUSAL_LM"}

        def put(
            id: str, model: str, *, gptq: bool, train: Any, more: Any, key: Any = (model_type, peft, multi)
        ) -> None:
            owner, adapter, problem = key
            found[owner, id] = {
                "model_config": {"pretrained_model_name": model, **more, **problem},
                **({"quantization_config": GPTQ} if gptq else {}),
                "peft_config": adapter,
                "tokenizer_config": {},
                "trainer_config": train,
            }

        put("HF_GPTNeo_125m_lora", "EleutherAI/gpt-neo-125m", gptq=False, train=AUTO, more=FLOAT32)
        put("HF_GPTNeo_2p7b_lora", "EleutherAI/gpt-neo-2.7B", gptq=False, train=AUTO, more=FLOAT32)
        put("HF_Llama_2_7b_chat_GPTQ_lora", "TheBloke/Llama-2-7b-Chat-GPTQ", gptq=True, train=trainer, more={})
        put("HF_Llama_2_13b_chat_GPTQ_lora", "TheBloke/Llama-2-13B-chat-GPTQ", gptq=True, train=trainer, more={})
        mistral = "TheBloke/Mistral-7B-Instruct-v0.1-GPTQ"
        put("HF_Mistral_7b_instruct_GPTQ_lora", mistral, gptq=True, train=trainer, more={})
        if not multi:
            put("HF_Llama_3_1_8b_instruct_GPTQ_lora", LLAMA_3_1, gptq=True, train=BY_HAND, more={})
            put("HF_Mistral_7b_lora", "mistralai/Mistral-7B-v0.1", gptq=False, train=BY_HAND, more={})
        base = "bert-base-cased" if multi else "facebook/opt-125m"
        found[model_type, "HuggingFace_AdvancedConfig"] = {
            "model_config": {"pretrained_model_name_or_path": base, **FLOAT32, **multi},
            "tokenizer_config": {} if multi else {"model_max_length": 512},
            "trainer_config": {"num_train_epochs": 1, "auto_find_batch_size": True, "output_dir": "checkpoint"},
        }
    return found
