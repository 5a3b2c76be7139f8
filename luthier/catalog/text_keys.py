"""Which keys the JSON objects of the text templates may have, in the words of Hugging Face's libraries.

A key's default is what holds where neither the user nor the template's own default has it. Next: `text_translation`.
"""

from luthier.catalog.cost import MODEL_MAX_LENGTH
from luthier.catalog.hyperparameters import Boolean, Enum, Hyperparameter, Number, Range
from luthier.catalog.json_object import Keys, ModelName, ModuleNames, Only

PRECISIONS = ("float32", "bfloat16", "float16")
LORA, IA3, PROMPT_TUNING, PREFIX_TUNING = PEFT_TYPES = ("LORA", "IA3", "PROMPT_TUNING", "PREFIX_TUNING")
MULTI_LABEL, SINGLE_LABEL = "multi_label_classification", "single_label_classification"


def _count(name: str, default: int | None, least: int, most: int) -> Range:
    return Range(name=name, default=default, min=least, max=most, step=1, description="")


def _share(name: str, default: float, most: float = 1.0) -> Range:
    return Range(name=name, default=default, min=0, max=most, description="")


def _number(name: str, default: float | None, most: float) -> Number:
    return Number(name=name, default=default, min=0, max=most, description="")


def _switch(name: str, default: bool) -> Boolean:
    return Boolean(name=name, default=default, description="")


def _choice(name: str, default: str, *options: str) -> Enum:
    return Enum(name=name, default=default, options=options, description="")


def _modules(name: str, *, all_linear: bool = False) -> ModuleNames:
    return ModuleNames(name=name, default=None, all_linear=all_linear, description="")


def model(name_key: str, *, classifies: bool) -> Keys:
    precisions = (*(f"torch.{name}" for name in PRECISIONS), *PRECISIONS)
    shared: Keys = (
        ModelName(name=name_key, default="", description=""),
        _choice("torch_dtype", "torch.float32", *precisions),
    )
    own: Keys = (
        _choice("problem_type", MULTI_LABEL, MULTI_LABEL, SINGLE_LABEL),
        _share("classifier_dropout", 0.1, 0.9),
    )
    return shared + own if classifies else shared


def tokenizer() -> Keys:
    return (
        _count("model_max_length", MODEL_MAX_LENGTH, 8, 131072),
        _choice("truncation_side", "right", "right", "left"),
    )


def quantization() -> Keys:
    return (
        Range(name="bits", default=4, min=4, max=8, step=4, description=""),
        Only(name="use_exllama", default=False, description=""),
        _choice("bnb_4bit_quant_type", "nf4", "nf4", "fp4"),
        _switch("bnb_4bit_use_double_quant", True),
    )


def peft(task: str) -> Keys:
    return (
        _choice("peft_type", LORA, *PEFT_TYPES),
        Only(name="task_type", default=task, description=""),
        Only(name="inference_mode", default=False, description=""),
    )


def peft_variants() -> dict[str, Keys]:
    """Beside `peft`'s, by peft_type. DoRA is LORA with use_dora."""
    lora: tuple[Hyperparameter, ...] = (
        _count("r", 16, 1, 1024),
        _number("lora_alpha", 16, 8192),
        _share("lora_dropout", 0.1, 0.9),
        _modules("target_modules", all_linear=True),
        _choice("bias", "none", "none", "all", "lora_only"),
        _switch("use_rslora", False),
        _switch("use_dora", False),
    )
    return {
        LORA: lora,
        IA3: (_modules("target_modules"), _modules("feedforward_modules")),
        PROMPT_TUNING: (_count("num_virtual_tokens", 20, 1, 512),),
        PREFIX_TUNING: (
            _count("num_virtual_tokens", 20, 1, 512),
            _switch("prefix_projection", False),
            _count("encoder_hidden_size", None, 8, 8192),
        ),
    }


def trainer() -> Keys:
    """Of Transformers' training arguments those that say how it learns; none that names a file, a folder or a site."""
    return (
        _count("num_train_epochs", 1, 1, 1000),
        _count("per_device_train_batch_size", 8, 1, 4096),
        _count("gradient_accumulation_steps", 1, 1, 4096),
        _switch("auto_find_batch_size", True),
        _number("learning_rate", None, 10),
        _choice("lr_scheduler_type", "linear", "linear", "cosine", "constant", "constant_with_warmup"),
        _count("warmup_steps", 0, 0, 1_000_000),
        _share("weight_decay", 0.0),
        _choice("optim", "adamw_torch", "adamw_torch", "sgd"),
        _number("max_grad_norm", 1.0, 1000),
        _share("label_smoothing_factor", 0.0, 0.9),
        _switch("gradient_checkpointing", False),
        _switch("fp16", False),
        _switch("bf16", False),
    )


def output_dir() -> Only:
    """In the documented default of the templates for any model. The run folder is the one place there is."""
    return Only(name="output_dir", default="checkpoint", description="")
