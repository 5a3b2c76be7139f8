"""Hyperparameters that the templates for texts share: JSON objects, keyword arguments of Hugging Face's libraries.

Which keys they may have will be checked by the templates that train; until then these templates are refused as a whole.
Next: `text_classifier/`, `text_to_text/`.
"""

from typing import Any

from luthier.catalog.hyperparameters import Json

CANNOT_TRAIN = "this version of Luthier does not train text models yet"


def model_config(name: str, *, classifies: bool, key: str = "pretrained_model_name", **more: Any) -> Json:
    """`name` is the base model's on the hub. A classifier learns any number of concepts per text."""
    problem = {"problem_type": "multi_label_classification"} if classifies else {}
    text = f"How the base model is loaded; {key} is its name"
    return Json(name="model_config", default={key: name, **more, **problem}, description=text)


def quantization_config() -> Json:
    text = "How the base model's weights are quantised (GPTQ)"
    return Json(name="quantization_config", default={"bits": 4, "use_exllama": False}, description=text)


def peft_config(*, classifies: bool) -> Json:
    text = "Size and place of the low-rank adapter that is trained beside the base model (LoRA, Hu et al. 2022)"
    default = {
        "r": 16,
        "peft_type": "LORA",
        "task_type": "SEQ_CLS" if classifies else "CAUSAL_LM",
        "lora_dropout": 0.1,
        "inference_mode": False,
        "lora_alpha": 16,
    }
    return Json(name="peft_config", default=default, description=text)


def tokenizer_config(**default: Any) -> Json:
    return Json(name="tokenizer_config", default=default, description="How the tokenizer is loaded")


def trainer_config(**default: Any) -> Json:
    text = "Epochs, batch size, learning rate and the like, in the words of Transformers' training arguments"
    return Json(name="trainer_config", default=default, description=text)
