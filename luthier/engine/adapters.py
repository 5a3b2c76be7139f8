"""Adapters: a few tensors that learn beside a base model which stays as it is, by the peft library.

LoRA (Hu et al. 2022), DoRA (Liu et al. 2024), IA3 (Liu et al. 2022), prompt tuning (Lester et al. 2021), prefix tuning
(Li and Liang 2021). Next: `language_models` for the base, `adapter_export` for use without Luthier.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from luthier.engine.language_models import is_decoder
from luthier.errors import InvalidTrainingParams, shown

Words = Mapping[str, Any]  # `adapter` of a LanguagePlan

FEATURES = "FEATURE_EXTRACTION"  # peft's word for a body without a head
CONFIGS = {"LORA": "LoraConfig", "IA3": "IA3Config", "PROMPT_TUNING": "PromptTuningConfig"}
CONFIGS["PREFIX_TUNING"] = "PrefixTuningConfig"
BETWEEN = ("LORA", "IA3")  # those that sit within layers: they can be merged into them


class LearnsBeside(nn.Module):
    """A network whose base model does not learn. Its state is what learns alone: a checkpoint leaves the base out.

    Who subclasses it calls `leave_out_what_is_frozen` when the network is whole, before its state is asked for.
    """

    learning: frozenset[str] = frozenset()  # names of parameters, and of its own buffers; empty: all of them learn

    def leave_out_what_is_frozen(self) -> None:
        learning = [name for name, one in self.named_parameters() if one.requires_grad]
        self.learning = frozenset([*learning, *(name for name, _ in self.named_buffers(recurse=False))])

    def freeze(self) -> None:
        """What never learnt never will, whatever stages thaw."""
        for name, parameter in self.named_parameters():
            if self.learning and name not in self.learning:
                parameter.requires_grad_(False)

    def state_dict(self, *arguments: Any, **keywords: Any) -> Any:
        whole: dict[str, Any] = super().state_dict(*arguments, **keywords)
        return {name: one for name, one in whole.items() if name in self.learning} if self.learning else whole

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Raises RuntimeError unless the names are those that learn."""
        if not self.learning:
            return super().load_state_dict(state_dict, strict, assign)
        missing, unexpected = self.learning - state_dict.keys(), state_dict.keys() - self.learning
        if strict and (missing or unexpected):
            raise RuntimeError(f"missing: {_some(missing)}; unexpected: {_some(unexpected)}")
        return super().load_state_dict(state_dict, strict=False, assign=assign)


@dataclass(frozen=True)
class Parts:
    """What a network is made of. `model` is peft's or a plain one; `task`: what it is for, in peft's words.

    `head` maps the hidden state of the last token (SEQ_CLS), or the mean of all of them (FEATURE_EXTRACTION).
    """

    model: nn.Module
    task: str
    head: dict[str, torch.Tensor] = field(default_factory=dict)


@runtime_checkable
class ComesApart(Protocol):
    """A network that can be told as a model of transformers', an adapter and a head."""

    def parts(self) -> Parts: ...


def adapted(body: nn.Module, words: Words, task: str) -> nn.Module:
    """peft's model of `body` with a fresh adapter: only that learns. `task` in peft's words, as FEATURES or CAUSAL_LM.

    Raises InvalidTrainingParams where such an adapter has no place in this base model.
    """
    import peft as library  # seconds, and most runs do without it

    peft: Any = library
    kind, model_type = words["peft_type"], str(body.config.model_type)  # type: ignore[union-attr]
    if kind == "PREFIX_TUNING" and not (is_decoder(body.config) or task == "SEQ_2_SEQ_LM"):
        raise InvalidTrainingParams(
            f"peft_config.peft_type is PREFIX_TUNING, but the base model is an encoder ({model_type}), which has no "
            "keys and values of earlier tokens; give LORA, IA3 or PROMPT_TUNING"
        )
    try:
        with warnings.catch_warnings():  # of layers that are laid out the other way round, which peft then minds
            warnings.simplefilter("ignore")
            return _float32(peft.get_peft_model(body, _config(peft, words, task, model_type)))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InvalidTrainingParams(
            f"peft_config: {kind} finds no place in the base model ({model_type}): {shown(str(error), 300)}; give "
            "target_modules that it has, or another peft_type"
        ) from error


def _config(peft: Any, words: Words, task: str, model_type: str) -> Any:
    kind = words["peft_type"]
    own = {name: value for name, value in words.items() if value is not None}
    for name in ("peft_type", "inference_mode"):
        own.pop(name, None)
    if kind == "LORA" and "target_modules" not in own and model_type not in _known_targets():
        own["target_modules"] = "all-linear"
    if kind == "IA3" and "target_modules" in own:
        own.setdefault("feedforward_modules", [])
    return getattr(peft, CONFIGS[kind])(**{**own, "task_type": task})


def _known_targets() -> Mapping[str, Any]:
    """Families of models for which peft knows where LoRA does most good."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    known: Mapping[str, Any] = KNOWN
    return known


def _float32(model: nn.Module) -> nn.Module:
    """What learns is held in float32, whatever the base is held in: small steps would be lost in fewer bits."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    return model


def _some(names: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "none"
