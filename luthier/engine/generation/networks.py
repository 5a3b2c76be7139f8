"""A network that writes, from a base model's files. Next: `decoder`, `encoder_decoder`."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from luthier.catalog.generation import SOFT_PROMPTS, GenerationPlan
from luthier.engine import adapters, language_models
from luthier.engine.generation.decoder import Decoder
from luthier.engine.generation.encoder_decoder import EncoderDecoder
from luthier.engine.language_models import Tensors
from luthier.errors import CorruptFile, InvalidTrainingParams

Network = Decoder | EncoderDecoder


def asks(assets: Path) -> bool:
    """Whether the base model reads a text and answers it, instead of going on from it."""
    return bool(language_models.config_of(assets).is_encoder_decoder)


def network_of(assets: Path, tensors: Tensors | None, plan: GenerationPlan, device: str = "cpu") -> Network:
    """Random, or with `tensors`; with the plan's adapter. On the CPU, unless the base model is quantised for `device`.

    Raises CorruptFile, InvalidTrainingParams.
    """
    config = language_models.config_of(assets)
    precision = plan.base_precision if plan.adapter else "float32"
    quantised = language_models.quantised(plan.base_quantization if plan.adapter else {}, precision, device)
    model = _model_of(config, tensors, precision, quantised)
    takes, soft = set(inspect.signature(type(model).forward).parameters), plan.adapter.get("peft_type") in SOFT_PROMPTS
    if plan.adapter:
        if soft and config.is_encoder_decoder:
            raise InvalidTrainingParams(
                f"peft_config.peft_type is {plan.adapter['peft_type']}, but the base model is an encoder-decoder "
                f"({config.model_type}); give LORA or IA3"
            )
        model = adapters.adapted(model, plan.adapter, "SEQ_2_SEQ_LM" if config.is_encoder_decoder else "CAUSAL_LM")
    network = EncoderDecoder(model, _first_token(config)) if config.is_encoder_decoder else Decoder(model, takes, soft)
    if plan.adapter:
        network.leave_out_what_is_frozen()
    return network


def _model_of(config: Any, tensors: Tensors | None, precision: str, quantised: Mapping[str, Any]) -> Any:
    transformers, dtype = language_models.quiet_transformers(), getattr(torch, precision)
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    if type(config) not in auto._model_mapping:
        raise CorruptFile(f"the base model is a {config.model_type}, which writes no texts; name a language model")
    if tensors is None:
        return auto.from_config(config, dtype=dtype)
    return language_models.loaded(auto, config, tensors, dtype, quantised)


def _first_token(config: Any) -> int:
    """What an answer begins from."""
    named = [getattr(config, name, None) for name in ("decoder_start_token_id", "pad_token_id")]
    first = next((id_ for id_ in named if id_ is not None), None)
    if first is None:
        raise CorruptFile("config.json names no decoder_start_token_id: it is not clear where an answer begins")
    return int(first)
