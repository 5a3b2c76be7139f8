"""How a text generator writes: max_tokens, temperature, top_p, top_k, stop and seed of output_info.params.

What the request does not say is as it was stored with the version, else as the engine has it. Next: `outputs`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from luthier.catalog.hyperparameters import Number
from luthier.errors import InvalidPredictRequest, shown

MOST_STOPS = 16
LONGEST_STOP = 200  # characters


def options_in(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are given, checked; raises InvalidPredictRequest naming what is not allowed."""
    return {name: check(params[name]) for name, check in _CHECKS.items() if params.get(name) is not None}


def _number(name: str, least: float, most: float, *, whole: bool) -> Callable[[Any], float]:
    declared = Number(name=name, default=None, description="", min=least, max=most, whole=whole)

    def check(value: Any) -> float:
        try:
            return declared.checked(value)
        except ValueError:
            raise InvalidPredictRequest(f"{name} is {shown(value)}; give {declared.allowed()}") from None

    return check


def _stop(value: Any) -> list[str]:
    """One text or several."""
    texts = [value] if isinstance(value, str) else value
    good = isinstance(texts, list) and all(isinstance(one, str) and 0 < len(one) <= LONGEST_STOP for one in texts)
    if not good or len(texts) > MOST_STOPS:
        raise InvalidPredictRequest(
            f"stop is {shown(value)}; give a text, or a list of at most {MOST_STOPS}, each of 1 to {LONGEST_STOP} "
            "characters"
        )
    return list(texts)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "max_tokens": _number("max_tokens", 1, 32768, whole=True),
    "temperature": _number("temperature", 0, 5, whole=False),
    "top_p": _number("top_p", 0, 1, whole=False),
    "top_k": _number("top_k", 0, 1_000_000, whole=True),
    "stop": _stop,
    "seed": _number("seed", 0, 2**31 - 1, whole=True),
}
