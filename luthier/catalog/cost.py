"""How a forward pass grows with the picture or the text. A first time estimate needs no more.

GFLOPs are 1e9 times two per multiply-add. Next: `template`, whose `gflops_for` calls these.
"""

from collections.abc import Callable, Mapping
from typing import Any

MODEL_MAX_LENGTH = 512  # of a tokenizer_config that does not say
BYTES_A_TOKEN = 4.0  # of English, by the tokenizers of the templates
SPECIAL_TOKENS = 2
Cost = Callable[[Mapping[str, Any]], float]


def by_area(gflops: float, side: int) -> Cost:
    """A network without attention: `gflops` at `side` pixels squared, in proportion to the pixels elsewhere."""
    return lambda values: gflops * pixels(values["image_size"]) / side**2


def of_vision_transformer(width: int, depth: int, patch: int) -> Cost:
    """A plain vision transformer (Dosovitskiy et al. 2021): 12 width² per token and block, plus attention."""

    def gflops(values: Mapping[str, Any]) -> float:
        tokens = pixels(values["image_size"]) / patch**2 + 1
        per_block = tokens * 12 * width**2 + 2 * tokens**2 * width
        return 2e-9 * (depth * per_block + (tokens - 1) * 3 * patch**2 * width)

    return gflops


def of_language_model(parameters_m: float, tokens: int = MODEL_MAX_LENGTH // 2) -> float:
    """GFLOPs of `tokens` tokens: two per parameter and token (Kaplan et al. 2020). A template gives half of what it
    reads at the most."""
    return 2e-3 * parameters_m * tokens


def tokens_read(values: Mapping[str, Any], text_bytes: float = 0.0) -> float:
    """Of a text of `text_bytes`; 0: of one whose length nobody knows, half of the most, as calibrations have it.

    0 for templates that read no texts.
    """
    most = _most_tokens(values)
    return min(most, text_bytes / BYTES_A_TOKEN + SPECIAL_TOKENS) if text_bytes else most / 2


def bytes_read(values: Mapping[str, Any]) -> int:
    """Of a long text, about; 0 for templates that read none."""
    return int(_most_tokens(values) * BYTES_A_TOKEN)


def _most_tokens(values: Mapping[str, Any]) -> int:
    if "tokenizer_config" in values:
        return int(values["tokenizer_config"].get("model_max_length", MODEL_MAX_LENGTH))
    return int(values.get("max_tokens", 0))


def pixels(image_size: Any) -> float:
    """Of a size as the templates have it: a side, a list of one side or of width and height, or a side as text."""
    if isinstance(image_size, list | tuple):
        return float(image_size[0]) * float(image_size[-1])
    return float(image_size) ** 2
