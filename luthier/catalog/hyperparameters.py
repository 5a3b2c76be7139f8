"""A hyperparameter is declared once here and becomes a wire field, a form, a validator, a help table and a docs row.

The kinds are those of the wire's ModelTypeFieldType. `check` is the one gate that user values pass.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.errors import InvalidTrainingParams, shown

LARGEST_EXACT_INTEGER = 2**53  # numbers travel as doubles


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """Name, default and meaning, common to all kinds. `internal` hides it from forms, not from calls."""

    name: str
    default: Any
    description: str
    internal: bool = False

    def allowed(self) -> str:
        """What may be given, in words that fit after "give"."""
        raise NotImplementedError

    def checked(self, value: Any) -> Any:
        """`value` in its proper Python type; raises ValueError without text where it is not allowed."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Number(Hyperparameter):
    """A number with optional bounds. `whole` numbers may arrive as 2.0 and become 2; `sizes` are multiples of `multiple`."""

    min: float | None = None
    max: float | None = None
    whole: bool = False
    multiple: int = 1

    def allowed(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low = f" from {self.min:g}" if self.min is not None else ""
        high = f" to {self.max:g}" if self.max is not None else ""
        if self.min is not None and self.max is None:
            low = f" of at least {self.min:g}"
        if self.max is not None and self.min is None:
            high = f" of at most {self.max:g}"
        steps = f" in steps of {self.multiple}" if self.multiple > 1 else ""
        return kind + low + high + steps

    def checked(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError
        if abs(value) > LARGEST_EXACT_INTEGER or (self.whole and value != int(value)):
            raise ValueError
        if (self.min is not None and value < self.min) or (self.max is not None and value > self.max):
            raise ValueError
        if self.multiple > 1 and value % self.multiple:
            raise ValueError
        return int(value) if self.whole else float(value)


@dataclass(frozen=True, kw_only=True)
class Range(Number):
    """A number between bounds, with the step that a slider would have."""

    step: float | None = None


@dataclass(frozen=True, kw_only=True)
class Boolean(Hyperparameter):
    def allowed(self) -> str:
        return "true or false"

    def checked(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value


@dataclass(frozen=True, kw_only=True)
class Enum(Hyperparameter):
    options: tuple[str, ...]

    def allowed(self) -> str:
        return "one of " + ", ".join(self.options)

    def checked(self, value: Any) -> str:
        if value not in self.options or not isinstance(value, str):
            raise ValueError
        return value


@dataclass(frozen=True, kw_only=True)
class String(Hyperparameter):
    max_length: int = 1000

    def allowed(self) -> str:
        return f"a text of at most {self.max_length} characters"

    def checked(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) > self.max_length:
            raise ValueError
        return value


@dataclass(frozen=True, kw_only=True)
class ArrayOfNumbers(Hyperparameter):
    min: float | None = None
    max: float | None = None
    min_length: int = 0
    max_length: int = 64
    whole: bool = False

    def allowed(self) -> str:
        each = Number(name=self.name, default=0, description="", min=self.min, max=self.max, whole=self.whole).allowed()
        return f"a list of {self.min_length} to {self.max_length} numbers, each {each}"

    def checked(self, value: Any) -> tuple[float, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str) or not self.min_length <= len(value) <= self.max_length:
            raise ValueError
        each = Number(name=self.name, default=0, description="", min=self.min, max=self.max, whole=self.whole)
        return tuple(each.checked(item) for item in value)


@dataclass(frozen=True, kw_only=True)
class Json(Hyperparameter):
    """A JSON object. Which keys it may have is checked by the template that declares it."""

    def allowed(self) -> str:
        return "a JSON object"

    def checked(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError
        return dict(value)


@dataclass(frozen=True, kw_only=True)
class PythonCode(Hyperparameter):
    max_bytes: int = 256 * 1024

    def allowed(self) -> str:
        return f"Python text of at most {self.max_bytes // 1024} KiB"

    def checked(self, value: Any) -> str:
        if not isinstance(value, str) or len(value.encode()) > self.max_bytes:
            raise ValueError
        return value


def check(declared: Sequence[Hyperparameter], given: Mapping[str, Any], template: str = "") -> dict[str, Any]:
    """Every declared hyperparameter with its value: the given one, checked, or the default.

    Raises InvalidTrainingParams that names the field, what was given and what is allowed; an unknown name gets
    the nearest known one.
    """
    by_name = {parameter.name: parameter for parameter in declared}
    for name in given:
        if name not in by_name:
            raise InvalidTrainingParams(_unknown(name, list(by_name), template))
    return {name: _value(parameter, given) for name, parameter in by_name.items()}


def _value(parameter: Hyperparameter, given: Mapping[str, Any]) -> Any:
    if parameter.name not in given:
        return parameter.default
    value = given[parameter.name]
    try:
        return parameter.checked(value)
    except ValueError:
        message = f"train_info.params.{parameter.name} is {shown(value)}; give {parameter.allowed()}"
        raise InvalidTrainingParams(message) from None


def _unknown(name: str, known: list[str], template: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "it has " + ", ".join(known)
    return f"train_info.params.{shown(name)}: template {template} has no such hyperparameter; {hint}"
