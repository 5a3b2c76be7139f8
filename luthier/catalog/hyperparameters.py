"""A hyperparameter is declared once here and becomes a wire field, a form, a validator, a help table and a docs row.

The kinds are those of the wire's ModelTypeFieldType. `check` is the one gate that user values pass.
Next: `vocabulary` for the hyperparameters that many templates share, `template` for what carries them.
"""

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from luthier.errors import InvalidTrainingParams, shown

LARGEST_EXACT_INTEGER = 2**53  # numbers travel as doubles


class WrongWithinError(ValueError):
    """A fault inside a value. Its text goes on after the value's name: where it lies, what it is, what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """Name, default and meaning, common to all kinds. `internal` hides it from forms, not from calls."""

    kind: ClassVar[str]  # the wire's name of it, "RANGE"

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
    """A number with optional bounds. Where `whole`, 2.0 becomes 2; of a `multiple` only its multiples pass."""

    kind: ClassVar[str] = "NUMBER"

    min: float | None = None
    max: float | None = None
    whole: bool = False
    multiple: int = 1

    def allowed(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        return kind + _bounds(self.min, self.max) + (f" in steps of {plain(self.grid)}" if self.grid > 1 else "")

    @property
    def is_whole(self) -> bool:
        return self.whole or self.multiple > 1

    @property
    def grid(self) -> float:
        """The distance between allowed values, 0 where they are dense."""
        return self.multiple if self.multiple > 1 else float(self.whole)

    def checked(self, value: Any) -> float:
        if not _is_number(value) or not self._fits(value):
            raise ValueError
        return int(value) if self.is_whole else float(value)

    def nearest(self, value: Any) -> float | None:
        """The allowed number nearest to `value`, None where `value` is no number or every whole number is allowed."""
        if not _is_number(value) or self.grid <= 1:
            return None
        nearby = round(value / self.grid) * self.grid
        low = self.min if self.min is not None else nearby
        high = self.max if self.max is not None else nearby
        clamped = min(max(nearby, math.ceil(low / self.grid) * self.grid), math.floor(high / self.grid) * self.grid)
        return int(clamped) if self.is_whole else clamped

    def _fits(self, value: float) -> bool:
        above = self.min is None or value >= self.min
        below = self.max is None or value <= self.max
        return above and below and (self.grid == 0 or value % self.grid == 0)


@dataclass(frozen=True, kw_only=True)
class Range(Number):
    """A number between bounds, as a slider gives it. A `step` of a whole number allows that step's multiples only."""

    kind: ClassVar[str] = "RANGE"

    step: float | None = None

    @property
    def is_whole(self) -> bool:
        return super().is_whole or self.grid >= 1

    @property
    def grid(self) -> float:
        return self.step if self.step is not None and self.step >= 1 else super().grid


@dataclass(frozen=True, kw_only=True)
class Boolean(Hyperparameter):
    kind: ClassVar[str] = "BOOLEAN"

    def allowed(self) -> str:
        return "true or false"

    def checked(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value


@dataclass(frozen=True, kw_only=True)
class Enum(Hyperparameter):
    kind: ClassVar[str] = "ENUM"

    options: tuple[str, ...]

    def allowed(self) -> str:
        return "one of " + ", ".join(self.options)

    def checked(self, value: Any) -> str:
        if value not in self.options or not isinstance(value, str):
            raise ValueError
        return value


@dataclass(frozen=True, kw_only=True)
class String(Hyperparameter):
    """A text. Where `known` is not empty, only those texts have a meaning here and others are refused."""

    kind: ClassVar[str] = "STRING"

    max_length: int = 1000
    known: tuple[str, ...] = ()

    def allowed(self) -> str:
        if self.known:
            return " or ".join(json.dumps(text) for text in self.known) + ", the only text that Luthier serves here"
        return f"a text of at most {self.max_length} characters"

    def checked(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) > self.max_length or (self.known and value not in self.known):
            raise ValueError
        return value


@dataclass(frozen=True, kw_only=True)
class ArrayOfNumbers(Hyperparameter):
    kind: ClassVar[str] = "ARRAY_OF_NUMBERS"

    min: float | None = None
    max: float | None = None
    min_length: int = 0
    max_length: int = 64
    whole: bool = False

    @property
    def each(self) -> Number:
        return Number(name=self.name, default=0, description="", min=self.min, max=self.max, whole=self.whole)

    def allowed(self) -> str:
        return f"a list of {self.min_length} to {self.max_length} numbers, each {self.each.allowed()}"

    def checked(self, value: Any) -> tuple[float, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise ValueError
        if not self.min_length <= len(value) <= self.max_length:
            raise ValueError
        return tuple(self.each.checked(item) for item in value)


@dataclass(frozen=True, kw_only=True)
class Json(Hyperparameter):
    """A JSON object of any keys. Next: `json_object`, whose objects name theirs."""

    kind: ClassVar[str] = "JSON"

    def allowed(self) -> str:
        return "a JSON object"

    def checked(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError
        return dict(value)


@dataclass(frozen=True, kw_only=True)
class PythonCode(Hyperparameter):
    kind: ClassVar[str] = "PYTHON_CODE"

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
    except WrongWithinError as fault:
        raise InvalidTrainingParams(f"train_info.params.{parameter.name}{fault}") from None
    except ValueError:
        nearest = parameter.nearest(value) if isinstance(parameter, Number) else None
        hint = f"; the nearest is {plain(nearest)}" if nearest is not None else ""
        message = f"train_info.params.{parameter.name} is {as_given(value)}; give {parameter.allowed()}{hint}"
        raise InvalidTrainingParams(message) from None


def as_given(value: object) -> str:
    """A user's value for a message, in JSON's words where it has any: "8" is not 8, null is not "None"."""
    try:
        return shown(json.dumps(value))
    except (TypeError, ValueError):  # a number of thousands of digits, for one
        return f"of type {type(value).__name__}"


def _unknown(name: str, known: list[str], template: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "it has " + ", ".join(known)
    return f"train_info.params.{shown(name)}: template {template} has no such hyperparameter; {hint}"


def _is_number(value: Any) -> bool:
    """A number that a double holds exactly enough: neither NaN nor infinite nor of a size where 1 gets lost."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -LARGEST_EXACT_INTEGER <= value <= LARGEST_EXACT_INTEGER


def plain(number: float) -> str:
    """A number as a person would type it: 2147483647, 0.05, 1e-06."""
    return str(int(number)) if number == int(number) else f"{number:g}"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {plain(low)} to {plain(high)}"
    if low is not None:
        return f" of at least {plain(low)}"
    return f" of at most {plain(high)}" if high is not None else ""
