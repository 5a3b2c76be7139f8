"""What the templates for texts share. Those of the guides have JSON objects: arguments of Hugging Face's libraries.

Which keys they may have will be checked by the templates that train; until then these templates are refused as a whole.
Next: `text_classifier/`, `text_to_text/`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from luthier.catalog.hyperparameters import Boolean, Json, Range
from luthier.catalog.text_plan import TextPlan

Values = Mapping[str, Any]

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


# -- the fuller set of Luthier's own templates -------------------------------------------------------------------------


def max_tokens(default: int) -> Range:
    text = "Tokens that are read of each text, about 4 for 3 words, at most what the base model allows; more are cut"
    return Range(name="max_tokens", default=default, min=8, max=8192, step=1, description=text)


def dropout(default: float) -> Range:
    text = "Share of the features that the head does without at each step of training"
    return Range(name="dropout", default=default, min=0, max=0.9, description=text)


def concepts_mutually_exclusive(default: bool) -> Boolean:
    text = "true: exactly one concept fits each text (softmax); false: any number may fit (sigmoid)"
    return Boolean(name="concepts_mutually_exclusive", default=default, description=text)


def from_hub(name: str) -> Callable[[Values], str]:
    """`weights` of a template that always starts from the same model of the hub."""
    return lambda values: name


def encoder_plan(values: Values) -> TextPlan:
    """AdamW along a cosine after warm-up; the body learns more slowly than the fresh head."""
    return TextPlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["learning_rate"],
        weight_decay=values["weight_decay"],
        warmup_steps=values["warmup_iters"],
        backbone_multiplier=values["backbone_learning_rate_multiplier"],
        trainable_layers=values["trainable_layers"],
        clip_gradient_norm=1.0,
        early_stopping_epochs=values["early_stopping_epochs"],
        label_smoothing=values["label_smoothing"],
        max_tokens=values["max_tokens"],
        mutually_exclusive=values["concepts_mutually_exclusive"],
        dropout=values["dropout"],
    )
