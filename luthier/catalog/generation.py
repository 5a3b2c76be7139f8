"""What the templates of text-to-text share: their plan, and what they have beside Hugging Face's words.

Next: `text_translation`, which turns those into fields of a plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from luthier.catalog import text_keys, text_vocabulary, vocabulary
from luthier.catalog.hyperparameters import Boolean, Enum, Hyperparameter
from luthier.catalog.text_plan import LanguagePlan
from luthier.catalog.text_translation import adapter_of, language_fields

Values = Mapping[str, Any]

# strategies of networks with a head on a backbone, and of concepts
WITHOUT = ("trainable_layers", "unfreeze_every_epochs", "backbone_multiplier", "layer_decay", "balanced_sampling")
ANSWER_METRICS = ("exact_match", "rouge_l", "chrf")  # told only where answers are judged
SOFT_PROMPTS = (text_keys.PROMPT_TUNING, text_keys.PREFIX_TUNING)


@dataclass(frozen=True)
class GenerationPlan(LanguagePlan):
    """Plan of the family that writes texts."""

    learns_concepts: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ("perplexity", "loss", *ANSWER_METRICS)

    max_tokens: int = 512
    packing: bool = True  # several texts in a row of a batch, none of which sees another; decoders only
    row_tokens: int = 256  # about how many such a row holds
    judge_answers: bool = False  # let the model answer what it is judged on, and compare
    chat_template: str = "own"  # own: the base model's, sections where it has none; sections


def packing() -> Boolean:
    text = (
        "Several texts stand side by side in a row of a batch, so that no time goes into padding; none sees another. "
        "Encoder-decoders and soft prompts go without"
    )
    return Boolean(name="packing", default=True, description=text)


def judge_answers() -> Boolean:
    text = (
        "Also let the model answer every validation and test example, and tell exact match, ROUGE-L and chrF of the "
        "answers; perplexity is told in any case. An early_stopping_metric of these turns it on"
    )
    return Boolean(name="judge_answers", default=False, description=text)


def chat_template() -> Enum:
    text = (
        "How a conversation is written: own is the base model's template, where it has one; sections are ### Human: "
        "and ### Assistant:"
    )
    return Enum(name="chat_template", default="own", options=("own", "sections"), description=text)


def beside_the_objects() -> tuple[Hyperparameter, ...]:
    """What is not documented of the templates with JSON objects, and yet goes for all of them."""
    return (*text_vocabulary.beside_the_objects(), packing(), judge_answers(), chat_template())


def documented_plan(values: Values) -> GenerationPlan:
    """Of the documented templates."""
    return _plan(values, **language_fields(values))


def own_hyperparameters(
    *,
    max_tokens: int,
    batch_size: int,
    epochs: int,
    rate: float,
    warmup: int,
    weight_decay: float,
    task: str,
    adapter: bool,
) -> tuple[Hyperparameter, ...]:
    """Of Luthier's own templates. `adapter`: one is trained by default; `task` in the words of peft."""
    return (
        vocabulary.seed(),
        vocabulary.num_gpus(),
        text_vocabulary.max_tokens(max_tokens),
        vocabulary.batch_size(batch_size, most=4096),
        vocabulary.num_epochs(epochs, most=1000),
        vocabulary.learning_rate(rate),
        vocabulary.weight_decay(weight_decay),
        vocabulary.warmup_iters(warmup),
        vocabulary.label_smoothing(0.0),
        vocabulary.early_stopping_epochs(),
        text_vocabulary.peft_config(classifies=False, task=task, optional=not adapter),
        packing(),
        judge_answers(),
        chat_template(),
    )


def own_plan(values: Values) -> GenerationPlan:
    """AdamW along a cosine after warm-up; of an adapter where one is asked for, else of the whole model."""
    return _plan(
        values,
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["learning_rate"],
        weight_decay=values["weight_decay"],
        warmup_steps=values["warmup_iters"],
        label_smoothing=values["label_smoothing"],
        early_stopping_epochs=values["early_stopping_epochs"],
        clip_gradient_norm=1.0,
        max_tokens=values["max_tokens"],
        adapter=adapter_of(values),
    )


def _plan(values: Values, **fields: Any) -> GenerationPlan:
    soft = fields["adapter"].get("peft_type") in SOFT_PROMPTS
    notes = (*fields.pop("notes", ()), *(("packing: soft prompts go without",) if soft and values["packing"] else ()))
    return GenerationPlan(
        **fields,
        notes=notes,
        packing=values["packing"] and not soft,
        judge_answers=values["judge_answers"],
        chat_template=values["chat_template"],
    )
