"""Words of the text templates -> fields of a plan. What the documentation leaves open is decided here.

The documented templates carry arguments of Transformers, peft and their kin; these mean what they mean there. What
means nothing here is told in the plan's notes. Next: `text_plan`.
"""

from collections.abc import Mapping
from typing import Any

from luthier.catalog import text_keys
from luthier.catalog.json_object import complete
from luthier.catalog.text_plan import TextPlan

Values = Mapping[str, Any]

FULL_RATE = 5e-5  # that of Transformers' training arguments
RATES = {  # an adapter is small and starts from nothing: the rates of the papers and of peft's examples
    text_keys.LORA: 2e-4,
    text_keys.IA3: 3e-3,
    text_keys.PROMPT_TUNING: 1e-2,
    text_keys.PREFIX_TUNING: 1e-2,
}
SCHEDULES = {"constant_with_warmup": "constant"}
OPTIMIZERS = {"adamw_torch": "adamw"}


def language_fields(values: Values) -> dict[str, Any]:
    """Fields of a LanguagePlan from the checked JSON objects: all but what one family alone has."""
    trainer = complete(text_keys.trainer(), values["trainer_config"])
    tokenizer = complete(text_keys.tokenizer(), values["tokenizer_config"])
    adapter, quantised = adapter_of(values), quantization_of(values)
    usual = "bfloat16" if quantised else "float32"
    precision = values["model_config"].get("torch_dtype", usual).removeprefix("torch.")
    rate = trainer["learning_rate"]
    return {
        "epochs": trainer["num_train_epochs"],
        "batch_size": trainer["per_device_train_batch_size"],
        "accumulate": trainer["gradient_accumulation_steps"],
        "gradient_checkpointing": trainer["gradient_checkpointing"],
        "learning_rate": default_rate(adapter) if rate is None else rate,
        "optimizer": OPTIMIZERS.get(trainer["optim"], trainer["optim"]),
        "weight_decay": trainer["weight_decay"],
        "schedule": SCHEDULES.get(trainer["lr_scheduler_type"], trainer["lr_scheduler_type"]),
        "warmup_steps": 0 if trainer["lr_scheduler_type"] == "constant" else trainer["warmup_steps"],
        "clip_gradient_norm": trainer["max_grad_norm"],
        "label_smoothing": trainer["label_smoothing_factor"],
        "max_tokens": tokenizer["model_max_length"],
        "cut_at": "end" if tokenizer["truncation_side"] == "right" else "start",
        "adapter": adapter,
        "base_precision": precision,
        "base_quantization": quantised,
        "notes": (
            *_notes_on_numbers(trainer, precision, adapter),
            *_notes_on_quantization(values, precision),
        ),
    }


def adapter_of(values: Values) -> dict[str, Any]:
    """`adapter` of a LanguagePlan: the words of a checked peft_config, complete; {} where there is none."""
    given = values.get("peft_config", {})
    return complete(text_keys.peft_variants()[given["peft_type"]], given) if given else {}


def quantization_of(values: Values) -> dict[str, Any]:
    given = values.get("quantization_config", {})
    return complete(text_keys.quantization(), given) if given else {}


def default_rate(adapter: Mapping[str, Any]) -> float:
    return RATES[adapter["peft_type"]] if adapter else FULL_RATE


def _notes_on_numbers(trainer: Values, precision: str, adapter: Values) -> list[str]:
    notes = [
        f"trainer_config.{name}: bfloat16 is used wherever the hardware multiplies it, else float32"
        for name in ("fp16", "bf16")
        if trainer[name]
    ]
    if trainer["warmup_steps"] and trainer["lr_scheduler_type"] == "constant":
        notes.append("trainer_config.warmup_steps: lr_scheduler_type constant has none; constant_with_warmup has")
    if not adapter and precision != "float32":
        notes.append("model_config.torch_dtype: weights that learn are held in float32")
    if not trainer["auto_find_batch_size"]:
        notes.append(
            "trainer_config.auto_find_batch_size: a batch that does not fit into memory is divided all the same"
        )
    return notes


def _notes_on_quantization(values: Values, precision: str) -> list[str]:
    quantised = quantization_of(values)
    if not quantised:
        return []
    notes = [
        "quantization_config: the adapter learns beside the model that the GPTQ build was made from, which is held in "
        f"{quantised['bits']} bits on a GPU with bitsandbytes, elsewhere in {precision}"
    ]
    of_four_bits = [key for key in values["quantization_config"] if key.startswith("bnb_4bit_")]
    if of_four_bits and quantised["bits"] != 4:
        notes.append(
            f"quantization_config: bits is {quantised['bits']}, where {' and '.join(of_four_bits)} mean nothing"
        )
    return notes


def classifier_plan(values: Values) -> TextPlan:
    """Of the documented templates of text-classifier."""
    model = complete(text_keys.model("", classifies=True), values["model_config"])
    return TextPlan(
        **language_fields(values),
        mutually_exclusive=model["problem_type"] == text_keys.SINGLE_LABEL,
        dropout=model["classifier_dropout"],
    )


def encoder_plan(values: Values) -> TextPlan:
    """AdamW along a cosine after warm-up; the body learns more slowly than the fresh head, an adapter as fast as it."""
    adapter = adapter_of(values)
    return TextPlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["learning_rate"],
        weight_decay=values["weight_decay"],
        warmup_steps=values["warmup_iters"],
        backbone_multiplier=1.0 if adapter else values["backbone_learning_rate_multiplier"],
        trainable_layers=values["trainable_layers"],
        clip_gradient_norm=1.0,
        early_stopping_epochs=values["early_stopping_epochs"],
        label_smoothing=values["label_smoothing"],
        max_tokens=values["max_tokens"],
        mutually_exclusive=values["concepts_mutually_exclusive"],
        learn_word_embeddings=values["learn_word_embeddings"],
        dropout=values["dropout"],
        adapter=adapter,
    )
