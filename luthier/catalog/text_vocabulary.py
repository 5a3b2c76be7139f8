"""What the templates for texts share. Those of the guides have JSON objects: arguments of Hugging Face's libraries.

Next: `text_keys` for what may stand in them, `text_translation` for what becomes of it, `text_classifier/`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from luthier.catalog import text_keys, vocabulary
from luthier.catalog.hyperparameters import Boolean, Hyperparameter, Range
from luthier.catalog.json_object import JsonObject, Keys

Values = Mapping[str, Any]

NAME_KEYS = ("pretrained_model_name", "pretrained_model_name_or_path")
LORA_DEFAULT = {"r": 16, "peft_type": "LORA", "lora_dropout": 0.1, "inference_mode": False, "lora_alpha": 16}

# GPTQ builds are for inference: what trains is the model that each was made from
UNQUANTISED = {
    "TheBloke/Llama-2-7b-Chat-GPTQ": "meta-llama/Llama-2-7b-chat-hf",
    "TheBloke/Llama-2-13B-chat-GPTQ": "meta-llama/Llama-2-13b-chat-hf",
    "TheBloke/Mistral-7B-Instruct-v0.1-GPTQ": "mistralai/Mistral-7B-Instruct-v0.1",
    "hugging-quants/Meta-Llama-3.1-8B-Instruct-GPTQ-INT4": "meta-llama/Llama-3.1-8B-Instruct",
}


def model_config(name: str, *, classifies: bool, key: str = "pretrained_model_name", **more: Any) -> JsonObject:
    """`name` is the base model's on the hub. A classifier learns any number of concepts per text."""
    problem = {"problem_type": text_keys.MULTI_LABEL} if classifies else {}
    text = f"The base model: {key} is its name in the weights folder, torch_dtype how its numbers are held"
    if classifies:
        text += (
            f"; problem_type is {text_keys.MULTI_LABEL} (a sigmoid per concept) or {text_keys.SINGLE_LABEL} (softmax)"
        )
    keys = text_keys.model(key, classifies=classifies)
    return JsonObject(name="model_config", default={key: name, **more, **problem}, keys=keys, description=text)


def quantization_config() -> JsonObject:
    text = "Bits per weight of the base model while the adapter learns; on a GPU with bitsandbytes (luthier[quantise])"
    default = {"bits": 4, "use_exllama": False}
    return JsonObject(name="quantization_config", default=default, keys=text_keys.quantization(), description=text)


def peft_config(*, classifies: bool, task: str = "", optional: bool = False) -> JsonObject:
    """`task`, in peft's words, of models that do neither of both. `optional`: none by default."""
    task = task or ("SEQ_CLS" if classifies else "CAUSAL_LM")
    text = (
        "Adapter that learns beside a base model that stays as it is: LORA (Hu et al. 2022; with use_dora DoRA, Liu et "
        "al. 2024), IA3, PROMPT_TUNING or PREFIX_TUNING"
    )
    return JsonObject(
        name="peft_config",
        default={} if optional else {**LORA_DEFAULT, "task_type": task},
        keys=text_keys.peft(task),
        chooser="peft_type",
        variants=text_keys.peft_variants(),
        description=text + ("; empty: the whole model learns" if optional else ""),
    )


def tokenizer_config(**default: Any) -> JsonObject:
    text = (
        "How texts become tokens: model_max_length is the most of one text, truncation_side where longer ones are cut"
    )
    return JsonObject(name="tokenizer_config", default=default, keys=text_keys.tokenizer(), description=text)


def trainer_config(*more: Hyperparameter, **default: Any) -> JsonObject:
    """`more` are keys beside the usual ones."""
    text = "Epochs, batch size, learning rate and the like, in the words of Transformers' training arguments"
    keys: Keys = (*text_keys.trainer(), *more)
    return JsonObject(name="trainer_config", default=default, keys=keys, description=text)


def beside_the_objects() -> tuple[Hyperparameter, ...]:
    """What is not documented of the templates with JSON objects, and yet goes for every template."""
    return (vocabulary.seed(), vocabulary.num_gpus())


# fields of the plan that the objects already speak of, or that mean nothing beside a base model that does not learn
SAID_IN_OBJECTS = (
    "optimizer",
    "schedule",
    "warmup_steps",
    "weight_decay",
    "clip_gradient_norm",
    "label_smoothing",
    "accumulate",
    "gradient_checkpointing",
    "dropout",
)
BESIDE_A_STILL_BASE = (
    "ema_decay",
    "trainable_layers",
    "unfreeze_every_epochs",
    "backbone_multiplier",
    "layer_decay",
    "head_hidden_layers",
    "head_hidden_width",
    "feature_cache",
)


def base_model(values: Values) -> str:
    """`weights` of the templates with a model_config: the model that is named, or the one that its GPTQ build is of."""
    config = values["model_config"]
    name: str = next(config[key] for key in NAME_KEYS if key in config)
    return UNQUANTISED.get(name, name)


# -- the fuller set of Luthier's own templates -------------------------------------------------------------------------


def max_tokens(default: int) -> Range:
    text = "Tokens that are read of each text, about 4 for 3 words, at most what the base model allows; more are cut"
    return Range(name="max_tokens", default=default, min=8, max=8192, step=1, description=text)


def learn_word_embeddings(default: bool) -> Boolean:
    text = (
        "Whether the vectors that the encoder reads words by learn too. A few thousand texts seldom better them; they "
        "are half of MiniLM, which learns in three quarters of the time without"
    )
    return Boolean(name="learn_word_embeddings", default=default, description=text)


def dropout(default: float) -> Range:
    text = "Share of the features that the head does without at each step of training"
    return Range(name="dropout", default=default, min=0, max=0.9, description=text)


def concepts_mutually_exclusive(default: bool) -> Boolean:
    text = "true: exactly one concept fits each text (softmax); false: any number may fit (sigmoid)"
    return Boolean(name="concepts_mutually_exclusive", default=default, description=text)


def from_hub(name: str) -> Callable[[Values], str]:
    """`weights` of a template that always starts from the same model of the hub."""
    return lambda values: name
